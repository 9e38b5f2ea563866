"""A soup in words and tables, for terminal and notebook alike."""

from __future__ import annotations

from ravine.ensembles.words import number
from ravine.grid import Grid
from ravine.messages import count
from ravine.soups.basin import Way
from ravine.soups.tried import Score, Stirred, Tried

_MOST_WAYS = 15  # rows


def sentences(soup: Stirred) -> tuple[str, ...]:
    """What it comes to."""
    chosen = soup.chosen
    found = [_outcome(soup, chosen)]
    if len(chosen.used) > 1:
        found.append(_offer(soup, chosen))
    found += [
        f"Tried too: {each.words}: {_briefly(soup, each)}." for each in soup.tried if each is not chosen
    ]
    return tuple(found)


def _outcome(soup: Stirred, each: Tried) -> str:
    loss = _loss(soup)
    if each.accepted and len(each.used) == 1:
        return f"One member, {_short(each.used[0])}, is its own soup."
    if each.accepted:
        some = "all of them"
        if len(each.used) < len(each.members):  # others may lie there too, and make it no better
            some = f"{len(each.used)} of {len(each.members)} are averaged, which"
        best = min(own.loss for member, own in _used(each))
        gain = best - each.mean.loss
        change = f"{number(abs(gain))} {'below' if gain >= 0 else 'above'} the best of them"
        return (
            f"{_capital(each.words)}: {some} lie in one basin; their mean weights have validation {loss} "
            f"{number(each.mean.loss)}, {change}."
        )
    if not each.blocked:
        return f"{_capital(each.words)}: no barrier, but no mean has a smaller validation {loss} than the best of them."
    way = each.worst
    if way is None or way.level:
        centre = max(each.centres, key=lambda centre: centre.upper - centre.tolerance)
        return (
            f"{_capital(each.words)}: not averaged. Each two are connected, but at the mean of all the validation "
            f"{loss} may be up to {number(centre.upper)} above the mean of theirs, {number(centre.mean)}."
        )
    ends = f"between {_short(way.first)} and {_short(way.second)}"
    if way.barrier > way.tolerance:
        what = (
            f"there is a barrier {ends}: on the way the validation {loss} is {number(way.barrier)} above the straight "
            f"line between {number(way.losses[0])} and {number(way.losses[-1])}"
        )
    else:
        what = (
            f"a barrier {ends} cannot be ruled out with {count(soup.num_examples, 'validation example')}: it may be up "
            f"to {number(way.upper)}, with {number(way.losses[0])} and {number(way.losses[-1])} at the ends"
        )
    return f"{_capital(each.words)}: not averaged, {what}."


def _offer(soup: Stirred, each: Tried) -> str:
    loss = _loss(soup)
    shown = f"validation {loss} {number(each.ensemble.loss)}"
    if soup.task != "regression":
        shown += f" and accuracy {100 * each.ensemble.accuracy:.2f} %"
    members = ",".join(_short(name) for name in each.used)
    quoted = f'"{members}"' if "#" in members else members
    instead = "Their ensemble" if each.accepted else "Use their ensemble instead: it"
    return f"{instead} has {shown} (`ravine ensemble {soup.study} --members {quoted}`)."


def _briefly(soup: Stirred, each: Tried) -> str:
    if each.accepted:
        return f"{len(each.used)} of {len(each.members)} averaged, validation {_loss(soup)} {number(each.mean.loss)}"
    return "refused, a barrier" if each.blocked else "no mean is better than the best of them"


def scores_grid(soup: Stirred, identity: str) -> Grid:
    """A row for each member, for the mean weights and for the ensemble."""
    chosen, regression = soup.chosen, soup.task == "regression"

    def cells(name: str, note: str, score: Score) -> tuple[str, ...]:
        accuracy = () if regression else (f"{100 * score.accuracy:.2f} %",)
        return (name, note, number(score.loss), *accuracy)

    rows = [
        cells(member.short, _hypers(soup, place), own)
        for place, (member, own) in enumerate(zip(chosen.members, chosen.own, strict=True))
    ]
    if len(chosen.used) > 1:
        what = "soup" if chosen.accepted else "refused" if chosen.blocked else "no soup"
        rows += [
            cells(what, f"mean weights of {len(chosen.used)}", chosen.mean),
            cells("ensemble", f"mean predictions of {len(chosen.used)}", chosen.ensemble),
        ]
    title = f"{soup.study}: soup {identity}" if identity else f"{soup.study}: no soup"
    return Grid(
        title=title,
        before=sentences(soup),
        columns=("", "of", f"val {_loss(soup)}", *(() if regression else ("val accuracy",))),
        rows=tuple(rows),
        left=("", "of"),
    )


def ways_grid(soup: Stirred) -> Grid | None:
    """A row for each pair that was looked at, the highest first."""
    ways = sorted(soup.chosen.ways, key=lambda way: way.tolerance - way.upper)
    if not ways:
        return None
    left = len(ways) - _MOST_WAYS
    return Grid(
        before=(f"Barriers between members, in validation {_loss(soup)}, with one-sided 95 % upper bounds:",),
        columns=("from", "to", "barrier", "at", "at most", "allowed", ""),
        rows=tuple(
            (
                _short(way.first),
                _short(way.second),
                number(way.barrier),
                f"{way.at:.1f}",
                number(way.upper),
                number(way.tolerance),
                "level" if way.level else "barrier",
            )
            for way in ways[:_MOST_WAYS]
        ),
        left=("from", "to", ""),
        after=((f"and {left:,} more",) if left > 0 else ())
        + tuple(
            f"at the mean of all {len(centre.members)}: {number(centre.loss)}, the mean of theirs is "
            f"{number(centre.mean)}; at most {number(max(0.0, centre.upper))} above it, "
            f"{number(centre.tolerance)} allowed"
            for centre in soup.chosen.centres[-1:]
            if len(centre.members) > 2
        ),
    )


def curve_grid(soup: Stirred) -> Grid | None:
    """The way with the highest barrier, point by point."""
    way: Way | None = soup.chosen.worst
    if way is None:
        return None
    regression = soup.task == "regression"
    line = (1.0 - way.x) * way.losses[0] + way.x * way.losses[-1]
    return Grid(
        before=(f"From {_short(way.first)} to {_short(way.second)}, on validation:",),
        columns=(
            "way",
            _loss(soup),
            "straight line",
            "above it",
            "at most",
            *(() if regression else ("accuracy",)),
        ),
        rows=tuple(
            (
                f"{x:.1f}",
                number(loss),
                number(straight),
                number(loss - straight if 0.0 < x < 1.0 else 0.0),
                number(bound),
                *(() if regression else (f"{100 * accuracy:.2f} %",)),
            )
            for x, loss, straight, bound, accuracy in zip(
                way.x, way.losses, line, way.bounds, way.accuracies, strict=True
            )
        ),
    )


def _hypers(soup: Stirred, place: int) -> str:
    member = soup.chosen.members[place]
    lr = member.hypers.get("lr")
    parts = [member.rule, f"lr {lr:.4g}" if isinstance(lr, float) else "", f"seed {member.seed}"]
    for step in soup.chosen.added:
        if step.member == member.name:
            parts.append(step.outcome)
    return ", ".join(filter(None, parts))


def _used(each: Tried) -> list[tuple[str, Score]]:
    return [
        (member.name, own)
        for member, own in zip(each.members, each.own, strict=True)
        if member.name in each.used
    ]


def _short(name: str) -> str:
    """The name of a member for people."""
    return name[:8] + name[16:]


def _loss(soup: Stirred) -> str:
    return "MSE" if soup.task == "regression" else "NLL"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
