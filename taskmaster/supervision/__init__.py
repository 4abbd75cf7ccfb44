"""Supervision as Erlang/OTP has it, for pykka actors on an asyncio loop (docs/supervision.md).

`machine.py` decides, `supervisor.py` carries out; `actor.py` is the actor they are made for. The
package imports nothing of the program around it.
"""
