"""gather: collects digits, while a prompt plays or after it.

Rules:
- Digits typed ahead, while earlier prompts were heard, count from the start; `finishOnKey` without a digit does not.
- The first key ends the prompt (`bargeIn`); without `bargeIn` keys during the prompt still count, and are looked at when
  it has ended.
- `timeout` runs from the end of the prompt to the first key, `interDigitTimeout` between keys; while digits could still
  be completed to something longer that is valid, the second one decides.
- `finishOnKey` typed right after an entry that was complete without it (`1234#` where `maxDigits` is 4) is part of it.
- An entry is looked at when it is complete: `maxDigits` reached, `finishOnKey`, a pattern that can match no longer, or a
  timeout. A wrong one is tried again `tries` times in all, after `invalid`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from hookrouter.actions.base import Action, Do, Outcome, Run
from hookrouter.actions.nested import Prompt, Steps

Reason = Literal["maxDigits", "valid", "finishOnKey", "timeout", "interDigitTimeout", "invalid", "hangup"]
Seconds = Annotated[float, Meta(gt=0, le=600)]
Key = Annotated[str, Meta(pattern=r"^[0-9A-D*#]?(?!\n)$")]
Pattern = Annotated[str, Meta(max_length=64)]

_CLOSING_WITHIN = 1.5  # seconds in which `finishOnKey` follows the last digit
_CLASSES = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*"}


@lru_cache(maxsize=512)
def _pattern(pattern: str) -> tuple[re.Pattern[str], ...]:
    """A dialplan pattern, position by position: `1XX` → `1`, `[0-9]`, `[0-9]`. Source: Asterisk's extension patterns."""
    tokens = re.findall(r"\[[^\]]+\]|.", pattern.removeprefix("_"))
    return tuple(
        re.compile(_CLASSES.get(token.upper(), token if token[0] == "[" else re.escape(token))) for token in tokens
    )


def matches(pattern: str, digits: str) -> Literal["no", "partly", "exactly", "and more"]:
    """How far `digits` fit a pattern: not, as the beginning of an entry, or wholly (and could go on).

    >>> [matches("1XX", digits) for digits in ("2", "1", "123")]
    ['no', 'partly', 'exactly']
    >>> matches("9.", "91")
    'and more'
    """
    parts = _pattern(pattern)
    for index, part in enumerate(parts):
        if part.pattern in (".+", ".*"):
            return "and more" if len(digits) > index or part.pattern == ".*" else "partly"
        if index >= len(digits):
            return "partly"
        if not part.fullmatch(digits[index]):
            return "no"
    return "exactly" if len(digits) == len(parts) else "no"


class Gather(Action, frozen=True, tag="gather"):
    """Plays a prompt and collects what the caller types. Digits typed while an earlier prompt was heard count; those of a
    talk (`dial`, `bridge`, …) or of a recording do not."""

    prompt: Annotated[Prompt | None, Meta(description="Media, or actions `play`, `say`, `pause`.")] = None
    max_digits: Annotated[int, Meta(ge=1, le=255, description="Complete after so many.")] | None = None
    min_digits: Annotated[int, Meta(ge=1, le=255, description="Fewer are invalid.")] = 1
    valid_digits: (
        Annotated[
            Pattern | Annotated[list[Pattern], Meta(max_length=500)],
            Meta(description="The entries that are valid: a list, or dialplan patterns such as `1XX`."),
        ]
        | None
    ) = None
    finish_on_key: Annotated[
        Key,
        Meta(
            description="Ends the entry and is not part of it. It is also dropped behind an entry that was complete "
            "without it. Empty: no such key."
        ),
    ] = "#"
    timeout: Annotated[Seconds, Meta(description="Seconds from the end of the prompt to the first key.")] = 5.0
    inter_digit_timeout: Annotated[Seconds, Meta(description="Seconds from one key to the next.")] = 3.0
    barge_in: Annotated[bool, Meta(description="Whether a key ends the prompt.")] = True
    tries: Annotated[int, Meta(ge=1, le=20, description="How often the prompt is played in all.")] = 1
    invalid: Annotated[Prompt | None, Meta(description="Played before the next try.")] = None
    branches: Annotated[
        Annotated[dict[str, Steps], Meta(max_length=500)] | None,
        Meta(description="Entry → the actions that run at once; `timeout`, `invalid` and `default` are entries too."),
    ] = None
    sensitive: Annotated[
        bool, Meta(description="Card data and the like: the digits are never in the record, nor in a log line.")
    ] = False
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    result: ClassVar[str | None] = "DigitsCollected"
    group: ClassVar[str] = "caller"
    completes: ClassVar[str] = (
        "When the entry is complete: `DigitsCollected` {digits, reason: `maxDigits` `valid` `finishOnKey` `timeout` "
        "`interDigitTimeout` `invalid` `hangup`}."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "gather", "prompt": "sound:vm-enter-num-to-call", "maxDigits": 4, "tries": 2}',
        '{"action": "gather", "prompt": "sound:demo-instruct", "validDigits": ["1", "2"], "branches": {'
        '"1": [{"action": "play", "media": "sound:hello-world"}], "default": [{"action": "hangup"}]}}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if self.max_digits is not None and self.min_digits > self.max_digits:
            yield (
                "/minDigits",
                f"{self.min_digits} is more than `maxDigits` ({self.max_digits}): nothing could be entered",
            )
        for pattern in self.patterns:
            try:
                _pattern(pattern)
            except re.error as error:
                yield "/validDigits", f"`{pattern}` is not a dialplan pattern: {error}"
                return
            if self.finish_on_key and pattern == self.finish_on_key:
                yield "/validDigits", f"`{pattern}` ends an entry (`finishOnKey`): it could never be typed"
        for entry in self.branches or {}:
            if (why := self._never(entry)) is not None:
                yield f"/branches/{entry.replace('~', '~0').replace('/', '~1')}", why

    def _never(self, entry: str) -> str | None:
        """Why this branch could never be taken."""
        if entry in ("timeout", "invalid", "default"):
            return None
        if not re.fullmatch("[0-9A-D*#]+", entry):
            return "neither keys nor `timeout`, `invalid` or `default`: it could never be taken"
        if self.finish_on_key and self.finish_on_key in entry:
            return f"`{self.finish_on_key}` ends an entry (`finishOnKey`): it could never be taken"
        return None

    @property
    def patterns(self) -> list[str]:
        if self.valid_digits is None:
            return []
        return [self.valid_digits] if isinstance(self.valid_digits, str) else self.valid_digits

    def run(self) -> Run:
        return GatherRun()

    def judge(self, digits: str) -> Reason | None:
        """Why an entry is complete now; None while more may come."""
        if self.patterns:
            found = [matches(pattern, digits) for pattern in self.patterns]
            if all(fit == "no" for fit in found):
                return "invalid"
            if "exactly" in found and not any(fit in ("partly", "and more") for fit in found):
                return "valid"
        if self.max_digits is not None and len(digits) >= self.max_digits:
            return "maxDigits"
        return None

    def valid(self, digits: str) -> bool:
        """Whether a complete entry may stand."""
        if len(digits) < self.min_digits:
            return False
        return not self.patterns or any(
            matches(pattern, digits) in ("exactly", "and more") for pattern in self.patterns
        )


class GatherRun(Run, tag="gather"):
    digits: str = ""
    attempt: int = 1
    pending: str = ""  # not looked at yet: keys during a prompt without barge-in, or beyond the entry

    def start(self, do: Do) -> None:
        ahead = do.take_digits()
        if key := do.action.finish_on_key:
            ahead = ahead.lstrip(key)  # it ended, or was to end, something else: it is no entry by itself
        if do.action.prompt and not (ahead and do.action.barge_in):
            self.pending = ahead
            do.spawn(do.action.prompt, "prompt")
        else:
            self._listen(do, ahead)

    def _listen(self, do: Do, keys: str) -> None:
        do.after(do.action.timeout, "first")
        self._keys(keys, do)

    def _keys(self, keys: str, do: Do) -> None:
        """Takes keys one by one; what is left over when the entry is complete was typed ahead for what follows."""
        action: Gather = do.action
        for index, key in enumerate(keys):
            self.pending = keys[index + 1 :]
            do.cancel("first")
            if action.finish_on_key and key == action.finish_on_key:
                self._complete("finishOnKey", do)
                return
            self.digits += key
            reason = action.judge(self.digits)
            if reason is not None:
                self._close(do)
                self._complete(reason, do)
                return
            do.after(action.inter_digit_timeout, "next")

    def on_key(self, channel: str, key: str, do: Do) -> bool:
        if channel != do.channel:
            return False
        if do.running("invalid"):
            do.kill("invalid")
            self._again(do, key)
        elif do.running("prompt"):
            if do.action.barge_in:
                do.kill("prompt")
                self._listen(do, self.pending + key)
            else:
                self.pending += key
        else:
            self._keys(key, do)
        return True

    def _close(self, do: Do) -> None:
        """The entry is complete without `finishOnKey`, which may follow all the same."""
        key = do.action.finish_on_key
        if self.pending:
            self.pending = self.pending.removeprefix(key)
        elif key:
            do.expect_closing(key, min(_CLOSING_WITHIN, do.action.inter_digit_timeout))

    def on_child(self, name: str, outcome: Outcome, do: Do) -> None:
        if outcome == "failed":
            do.fail(*do.error)
        elif name == "prompt":
            keys, self.pending = self.pending, ""
            self._listen(do, keys)
        else:
            self._again(do, "")

    def on_timer(self, name: str, do: Do) -> None:
        self._complete("timeout" if name == "first" else "interDigitTimeout", do)

    def _complete(self, reason: Reason, do: Do) -> None:
        action: Gather = do.action
        do.cancel("first")
        do.cancel("next")
        good = bool(self.digits) and action.valid(self.digits)
        if not good and reason not in ("timeout",):
            reason = "invalid"
        if good or self.attempt >= action.tries:
            self._finish(reason, do)
            return
        self.attempt += 1
        self.pending = ""
        if action.invalid and reason == "invalid":
            do.spawn(action.invalid, "invalid")
        else:
            self._again(do, "")

    def _again(self, do: Do, key: str) -> None:
        self.digits = ""
        if do.action.prompt and not key:
            do.spawn(do.action.prompt, "prompt")
        else:
            self._listen(do, key)

    def _finish(self, reason: Reason, do: Do) -> None:
        do.give_back(self.pending)
        branches = do.action.branches or {}
        chosen: Steps | None = None
        if reason in ("timeout", "invalid"):
            chosen = branches.get(reason, branches.get("default"))
        else:
            chosen = branches.get(self.digits, branches.get("default"))
        do.finish({"digits": self.digits, "reason": reason}, then=chosen, told=chosen is not None)

    def on_hangup(self, do: Do) -> None:
        do.finish({"digits": self.digits + self.pending, "reason": "hangup"})
