"""The project's own checks find what they are for, and nothing else."""

import pytest

from tools.check_rules import breaches


def messages(source: str, path: str = "taskmaster/x.py") -> list[str]:
    return [breach.message for breach in breaches(path, source)]


def test_a_module_with_docstring_and_plain_names_passes() -> None:
    source = '"""X."""\n\nclass TaskActor:\n    def jobless(self): ...\n'

    assert messages(source) == []


def test_a_module_without_docstring_is_found() -> None:
    assert messages("x = 1\n") == [
        "no module docstring: say what it is for and what must live here"
    ]


def test_a_file_of_451_lines_is_found_and_one_of_450_is_not() -> None:
    assert messages('"""X."""\n' + "x = 1\n" * 449) == []
    assert messages('"""X."""\n' + "x = 1\n" * 450) == ["451 lines, above 450: split it by subject"]


def test_the_list_of_facts_may_be_long() -> None:
    source = '"""X."""\n' + "x = 1\n" * 450

    assert messages(source, "taskmaster/events/types.py") == []


def test_a_function_of_71_lines_is_found_and_one_of_70_is_not() -> None:
    assert messages('"""X."""\ndef f():\n' + "    x = 1\n" * 69) == []
    assert messages('"""X."""\nasync def f():\n' + "    x = 1\n" * 70) == [
        "f has 71 lines, above 70: split it by step"
    ]


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("class TaskManager: ...", "TaskManager: not 'manager': say what it decides or keeps"),
        ("class HTTPWorker: ...", "HTTPWorker: not 'worker': say what it does"),
        ("def next_jobs(): ...", "next_jobs: not 'job': task"),
        ("async def url_util(): ...", "url_util: not 'util': name the subject"),
        ("class A:\n    def runner(self): ...", "runner: not 'runner': say what it does"),
    ],
)
def test_a_word_that_we_do_not_use_is_found_with_what_to_say(definition: str, message: str) -> None:
    [found] = messages(f'"""X."""\n{definition}\n')

    assert found.startswith(message)


def test_a_breach_reads_as_path_line_and_message() -> None:
    [breach] = breaches("taskmaster/x.py", '"""X."""\n\ndef job(): ...\n')

    assert str(breach) == "taskmaster/x.py:3: job: not 'job': task"
