%% Plays scenarios on OTP's own supervisor and prints what happened: `driver:main([File])`.
%%
%% File holds terms {scenario, Number, Supervisor, Plans, Ops}, see scenarios.py. One line for each
%% comes out: the number, a tab, and the events with ";" between them.
%%
%% The order of events is the order of messages to one collector. It is that of their causes,
%% because the virtual machine runs with one scheduler (+S 1:1): a process that ends has told
%% everybody who watches it before anybody else runs.
-module(driver).
-behaviour(supervisor).
-export([main/1, init/1, start/3, start/4, worker/4, still_born/0]).

-define(AT_ONCE, 100).

main([File]) ->
    logger:set_primary_config(level, none),
    {ok, Scenarios} = file:consult(File),
    {Waiting, Others} = lists:partition(fun waits/1, Scenarios),
    Lines = lists:sort(pool(Waiting ++ Others, 0, [])),
    io:put_chars(["OTP ", erlang:system_info(otp_release), "\n"]),
    [io:put_chars([integer_to_list(N), "\t", lists:join(";", Trace), "\n"]) || {N, Trace} <- Lines],
    halt(0).

waits({scenario, _, _, _, Ops}) -> lists:keymember(wait, 1, Ops).

pool([], 0, Done) ->
    Done;
pool([Scenario | Rest], Running, Done) when Running < ?AT_ONCE ->
    Self = self(),
    spawn_link(fun() -> Self ! {done, play(Scenario)} end),
    pool(Rest, Running + 1, Done);
pool(Rest, Running, Done) ->
    receive
        {done, Line} -> pool(Rest, Running - 1, [Line | Done])
    after 60000 -> exit(hung)
    end.

%% --- one scenario ---------------------------------------------------------------------------

play({scenario, Number, Spec, Plans, Ops}) ->
    process_flag(trap_exit, true),
    Collector = spawn_link(fun() -> collect_all(maps:from_list(Plans)) end),
    ok = ask(Collector, {attempt, root}),
    case supervisor:start_link(?MODULE, {Collector, root, '', Spec}) of
        {ok, _} ->
            quiet(Collector),
            note(Collector, "< ok"),
            play_ops(Ops ++ [stop], Collector);
        {error, Reason} ->
            %% the end of the root may still be on its way
            quiet(Collector),
            note(Collector, ["< ", why(Reason)])
    end,
    {Number, ask(Collector, trace)}.

play_ops([], _Collector) ->
    ok;
play_ops([Op | Rest], Collector) ->
    case ask(Collector, {pid, root}) of
        none ->
            ok;
        Root ->
            note(Collector, ">"),
            Replies = wait(play_op(Op, Root, Collector)),
            quiet(Collector),
            [note(Collector, ["< ", reply(Reply, Collector)]) || Reply <- Replies],
            play_ops(Rest, Collector)
    end.

play_op({wait, Ms}, _Root, _Collector) ->
    timer:sleep(Ms),
    [];
play_op(stop, Root, Collector) ->
    exit(Root, shutdown),
    Collector ! {when_ended, Root, self()},
    [{when_ended, Root}];
play_op({crash, Name, Reason}, _Root, Collector) ->
    case ask(Collector, {pid, Name}) of
        none ->
            [{known, "absent"}];
        Pid ->
            case Reason of
                kill -> exit(Pid, kill);
                _ -> Pid ! {crash, Reason}
            end,
            Collector ! {when_ended, Pid, self()},
            receive {ended, Pid} -> [] end
    end;
play_op({burst, Name, Ops}, Root, Collector) ->
    case ask(Collector, {pid, Name}) of
        none ->
            [{known, "noproc"}];
        Pid ->
            erlang:suspend_process(Pid),
            Waits = [Wait || Op <- Ops, Wait <- play_op(Op, Root, Collector)],
            erlang:resume_process(Pid),
            Waits
    end;
play_op(Op, _Root, Collector) ->
    case ask(Collector, {pid, element(2, Op)}) of
        none -> [{known, "noproc"}];
        Pid -> [{request, gen_server:send_request(Pid, request(Op, Collector))}]
    end.

request({start_child, Sup, Child}, Collector) when is_tuple(Child) ->
    {start_child, child_spec(Collector, ask(Collector, {prefix, Sup}), Child)};
request({start_dynamic, _, Name}, _) -> {start_child, [Name]};
request({terminate_dynamic, _, Name}, Collector) -> {terminate_child, ask(Collector, {last_pid, Name})};
request({terminate_child, _, Id}, _) -> {terminate_child, Id};
request({restart_child, _, Id}, _) -> {restart_child, Id};
request({delete_child, _, Id}, _) -> {delete_child, Id};
request({which_children, _}, _) -> which_children;
request({count_children, _}, _) -> count_children.

wait([]) ->
    [];
wait([{known, Text} | Rest]) ->
    [{text, Text} | wait(Rest)];
wait([{when_ended, Pid} | Rest]) ->
    receive {ended, Pid} -> wait(Rest) end;
wait([{request, Id} | Rest]) ->
    Reply =
        case gen_server:wait_response(Id, infinity) of
            {reply, Answer} -> Answer;
            {error, _} -> {text, "noproc"}
        end,
    [Reply | wait(Rest)].

%% Asking a supervisor queues behind all that has reached it. Quiet: a whole round of asking
%% brought no event, and no restart waits to be tried again.
quiet(Collector) ->
    Before = ask(Collector, count),
    Restarting = [Sup || Sup <- ask(Collector, supervisors), is_restarting(Sup)],
    case ask(Collector, count) of
        Before when Restarting =:= [] -> ok;
        _ -> quiet(Collector)
    end.

is_restarting(Sup) ->
    try lists:keymember(restarting, 2, supervisor:which_children(Sup))
    catch exit:_ -> true
    end.

%% --- processes ------------------------------------------------------------------------------

init({Collector, Name, Prefix, {Strategy, Intensity, Period, Auto, Children}}) ->
    ok = ask(Collector, {up, Name, self(), {supervisor, Prefix}}),
    Flags = #{strategy => Strategy, intensity => Intensity, period => Period, auto_shutdown => Auto},
    {ok, {Flags, [child_spec(Collector, Prefix, Child) || Child <- Children]}}.

child_spec(Collector, Prefix, {Id, Restart, Shutdown, Significant, _Stop, Kids} = Child) ->
    Spec = #{
        id => Id,
        start => {?MODULE, start, [Collector, Prefix, Child]},
        restart => Restart,
        significant => Significant,
        type => case Kids of none -> worker; _ -> supervisor end
    },
    case Shutdown of
        default -> Spec;
        _ -> Spec#{shutdown => Shutdown}
    end.

%% The extra argument of simple_one_for_one is the name of the child.
start(Collector, _Prefix, Child, Name) ->
    start_named(Collector, Name, Child).

start(Collector, Prefix, Child) ->
    start_named(Collector, named(Prefix, element(1, Child)), Child).

start_named(Collector, Name, {_, _, _, _, Stop, Kids}) ->
    case ask(Collector, {attempt, Name}) of
        ok when Kids =:= none ->
            proc_lib:start_link(?MODULE, worker, [self(), Collector, Name, Stop]);
        ok -> supervisor:start_link(?MODULE, {Collector, Name, Name, Kids});
        ignore -> ignore;
        error -> {error, no};
        crash -> error(boom);
        dies -> proc_lib:start_link(?MODULE, still_born, [])
    end.

named('', Id) -> Id;
named(Prefix, Id) -> list_to_atom(atom_to_list(Prefix) ++ "." ++ atom_to_list(Id)).

still_born() ->
    exit(died).

worker(Parent, Collector, Name, Stop) ->
    process_flag(trap_exit, true),
    ok = ask(Collector, {up, Name, self(), worker}),
    proc_lib:init_ack({ok, self()}),
    live(Parent, Collector, Name, Stop).

live(Parent, Collector, Name, Stop) ->
    receive
        {crash, Reason} ->
            exit(Reason);
        {'EXIT', Parent, Reason} ->
            note(Collector, ["ask ", atom_to_list(Name), " ", why(Reason)]),
            case Stop of
                refuse when Reason =:= shutdown -> live(Parent, Collector, Name, Stop);
                {leave, Other} -> exit(Other);
                _ -> exit(Reason)
            end
    end.

%% --- the collector --------------------------------------------------------------------------

note(Collector, Text) ->
    Collector ! {event, Text}.

ask(Collector, Question) ->
    Ref = make_ref(),
    Collector ! {ask, self(), Ref, Question},
    receive {Ref, Answer} -> Answer end.

collect_all(Plans) ->
    collect(#{plans => Plans, attempts => #{}, alive => #{}, last => #{}, labels => #{},
              kinds => #{}, waiting => #{}, events => [], count => 0}).

collect(S) ->
    receive
        {event, Text} ->
            collect(event(Text, S));
        {'DOWN', _, process, Pid, Reason} ->
            #{labels := Labels, alive := Alive, waiting := Waiting} = S,
            {Name, _} = maps:get(Pid, Labels),
            [W ! {ended, Pid} || W <- maps:get(Pid, Waiting, [])],
            S1 = S#{alive := case Alive of #{Name := Pid} -> maps:remove(Name, Alive); _ -> Alive end},
            collect(event(["end ", atom_to_list(Name), " ", why(Reason)], S1));
        {when_ended, Pid, Who} ->
            #{labels := Labels, alive := Alive, waiting := Waiting} = S,
            {Name, _} = maps:get(Pid, Labels),
            case Alive of
                #{Name := Pid} ->
                    collect(S#{waiting := Waiting#{Pid => [Who | maps:get(Pid, Waiting, [])]}});
                _ ->
                    Who ! {ended, Pid},
                    collect(S)
            end;
        {ask, Who, Ref, Question} ->
            {Answer, S1} = answer(Question, S),
            Who ! {Ref, Answer},
            collect(S1)
    end.

answer({attempt, Name}, #{plans := Plans, attempts := Attempts} = S) ->
    N = maps:get(Name, Attempts, 0) + 1,
    {Result, Rest} =
        case maps:get(Name, Plans, []) of
            [First | Others] -> {First, Others};
            [] -> {ok, []}
        end,
    S1 = S#{plans := Plans#{Name => Rest}, attempts := Attempts#{Name => N}},
    {Result, event(io_lib:format("start ~s ~b ~s", [Name, N, Result]), S1)};
answer({up, Name, Pid, Kind}, S) ->
    #{attempts := #{Name := N}, alive := Alive, last := Last, labels := Labels, kinds := Kinds} = S,
    monitor(process, Pid),
    {ok, S#{alive := Alive#{Name => Pid}, last := Last#{Name => Pid},
            labels := Labels#{Pid => {Name, N}}, kinds := Kinds#{Name => Kind}}};
answer({pid, Name}, #{alive := Alive} = S) -> {maps:get(Name, Alive, none), S};
answer({last_pid, Name}, #{last := Last} = S) -> {maps:get(Name, Last, dead_pid()), S};
answer({label, Pid}, #{labels := Labels} = S) ->
    {Name, N} = maps:get(Pid, Labels),
    {io_lib:format("~s#~b", [Name, N]), S};
answer({prefix, Name}, #{kinds := Kinds} = S) ->
    {supervisor, Prefix} = maps:get(Name, Kinds),
    {Prefix, S};
answer(supervisors, #{alive := Alive, kinds := Kinds} = S) ->
    {[Pid || {Name, Pid} <- maps:to_list(Alive), maps:get(Name, Kinds) =/= worker], S};
answer(count, #{count := Count} = S) -> {Count, S};
answer(trace, #{events := Events} = S) -> {lists:reverse(Events), S}.

dead_pid() ->
    {Pid, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, Pid, _} -> Pid end.

event(Text, #{events := Events, count := Count} = S) ->
    S#{events := [Text | Events], count := Count + 1}.

%% --- as text --------------------------------------------------------------------------------

reply({text, Text}, _) -> Text;
reply(ok, _) -> "ok";
reply({ok, undefined}, _) -> "ok undefined";
reply({ok, Pid}, Collector) when is_pid(Pid) -> ["ok ", ask(Collector, {label, Pid})];
reply({error, Reason}, Collector) -> ["error ", refusal(Reason, Collector)];
reply([{specs, S}, {active, A}, {supervisors, U}, {workers, W}], _) ->
    io_lib:format("~b specs ~b active ~b supervisors ~b workers", [S, A, U, W]);
reply([{undefined, _, _, _} | _] = Dynamic, Collector) ->
    lists:join(" ", lists:sort([lists:flatten(child(Child, Collector)) || Child <- Dynamic]));
reply(Children, Collector) when is_list(Children) ->
    lists:join(" ", [child(Child, Collector) || Child <- Children]).

child({Id, Pid, Type, _}, Collector) ->
    Shown = case is_pid(Pid) of true -> ask(Collector, {label, Pid}); false -> atom_to_list(Pid) end,
    io_lib:format("~s=~s/~s", [Id, Shown, Type]).

refusal({already_started, Pid}, Collector) when is_pid(Pid) ->
    ["already_started ", ask(Collector, {label, Pid})];
refusal({Reason, Child}, _) when element(1, Child) =:= child -> why(Reason);
refusal(Reason, _) -> why(Reason).

why({shutdown, {failed_to_start_child, Id, Reason}}) -> ["failed(", atom_to_list(Id), " ", why(Reason), ")"];
why({shutdown, Detail}) when is_atom(Detail) -> ["shutdown(", atom_to_list(Detail), ")"];
why({start_spec, Reason}) -> why(Reason);
why({'EXIT', {boom, _}}) -> "crash";
why({Word, _}) when Word =:= duplicate_child_name; Word =:= bad_combination -> atom_to_list(Word);
why(Reason) when is_atom(Reason) -> atom_to_list(Reason);
why(Reason) -> io_lib:format("~0p", [Reason]).
