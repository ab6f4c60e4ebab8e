"""What is odd about a session: said once, with its reason in words and the charger's message; and who looks at it."""

from typing import NamedTuple

from sessions.models import ChargingSession, Oddity

MAX_FRAME = 100_000


class Flag(NamedTuple):
    meaning: str
    needs_person: bool


# Every flag there is. Those that need a person put the session into the reconcile queue.
FLAGS = {
    "suspect": Flag("The register at its end cannot be right", True),
    "recovered": Flag("Its start was never told", True),
    "reconciled": Flag("A message without a transaction of ours was taken for this one's", True),
    "superseded": Flag("Its stop was not told before the next transaction began", True),
    "power_loss": Flag("The charger restarted, and did not tell its stop", True),
    "lost_stop": Flag("The charger does not know it any more, and did not tell its stop", True),
    "second_stop": Flag("Another stop than the one that counts was told", True),
    "closed": Flag("An operator ended it; its stop was never told", False),
    "amended": Flag("Its stop, or more of its meter, was told after it had been ended", False),
    "resumed": Flag("The charger restarted in its midst, and went on with it", False),
    "late": Flag("It was told long after it happened", False),
    "late_start": Flag("It began after the driver had been told that it would not", False),
    "clock": Flag("The charger's time could not be right", False),
}


def note(session: ChargingSession, flag: str, reason: str, frame: str = "", *, upshot: str = "") -> bool:
    """Say that something is odd; False if it was said before. `frame` is the charger's message, as it came.

    What it comes to, the `upshot`, is put right where it was said before with another. The caller saves `flags` and
    `review`. A session that somebody has looked at waits again for what is new.
    """
    whole = f"{reason}; {upshot}"[:255] if upshot else reason[:255]
    said = (
        Oddity.objects.filter(session=session, flag=flag, reason__startswith=f"{reason}; ")
        if upshot
        else None
    )
    if said is not None and said.update(reason=whole):
        is_new = flag not in session.flags  # it had been settled
    else:
        _, is_new = Oddity.objects.get_or_create(
            session=session,
            flag=flag,
            reason=whole,
            defaults={"frame": frame[:MAX_FRAME].replace("\0", "")},
        )
    if is_new:
        session.add_flag(flag)
        if FLAGS[flag].needs_person:
            session.review = ChargingSession.Review.WAITING
    return is_new


def settle(session: ChargingSession, *flags: str) -> None:
    """What these said is no longer so. The reasons stay on record; nobody needs to look for them any more.

    The caller saves. A session about which a person has decided is never taken out of the queue.
    """
    if not any(flag in session.flags for flag in flags):
        return
    session.flags = [flag for flag in session.flags if flag not in flags]
    if session.review == ChargingSession.Review.WAITING and not session.decisions.exists():
        if not any(FLAGS[flag].needs_person for flag in session.flags):
            session.review = ""
