//! Items to look at: wrong ones and unstable ones, with what the judge thought.

use super::super::evaluation::Judged;
use super::super::item::{Item, word};
use super::html::Html;

/// Most items of a list: the JSON has them all.
const MAX_ITEMS: usize = 500;

/// Items whose decision is not what people agreed on, the surest mistakes first, then undetermined ones.
pub(super) fn wrong(judged: &Judged<'_>) -> Html {
    let mut wrong: Vec<&Item<'_>> = judged.items.iter().filter(|item| !item.is_right()).collect();
    let distance = |item: &Item<'_>| {
        item.scored().map_or(-1.0, |it| (it.score() - f64::from(u8::from(it.truth()))).abs())
    };
    wrong.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    section("Wrong or undetermined", &wrong, judged)
}

/// Items whose votes differ, the least stable first.
pub(super) fn unstable(judged: &Judged<'_>, ids: &[String]) -> Html {
    let items: Vec<&Item<'_>> =
        ids.iter().filter_map(|id| judged.items.iter().find(|item| item.case.id == *id)).collect();
    if items.is_empty() { Html::default() } else { section("Unstable", &items, judged) }
}

fn section(name: &str, items: &[&Item<'_>], judged: &Judged<'_>) -> Html {
    let mut parts = vec![Html::leaf("h3", &[], &format!("{name}: {}", items.len()))];
    if items.len() > MAX_ITEMS {
        let note = format!("The first {MAX_ITEMS}; the JSON has all.");
        parts.push(Html::leaf("p", &[("class", "dim")], &note));
    }
    parts.extend(items.iter().take(MAX_ITEMS).map(|item| details(item, judged)));
    parts.into_iter().collect()
}

fn details(item: &Item<'_>, judged: &Judged<'_>) -> Html {
    let verdict = item.telling();
    let mut parts = vec![summary(item)];
    for text in item.case.content.texts() {
        parts.push(Html::leaf("pre", &[("dir", "auto")], text));
    }
    if item.verdicts.len() > 1 {
        let votes: Vec<&str> =
            item.verdicts.iter().map(|vote| word(vote.outcome.is_violation())).collect();
        parts.extend(named("votes", "p", &votes.join(", ")));
    }
    for (name, text) in [("rationale", &verdict.rationale), ("detail", &verdict.detail)] {
        if let Some(text) = text {
            parts.extend(named(name, "p", text));
        }
    }
    parts.extend(rules("cited", true, &verdict.rule_ids, judged));
    let expected: Vec<String> = item.case.rule.iter().cloned().collect();
    parts.extend(rules("expected", false, &expected, judged));
    if !verdict.reasoning.is_empty() {
        parts.extend(named("reasoning", "pre", &verdict.reasoning));
    }
    Html::element("details", &[], parts)
}

fn summary(item: &Item<'_>) -> Html {
    let expected = item.case.rule.as_deref().unwrap_or(word(Some(item.truth())));
    let decision = &item.decision;
    let given = match (&decision.label, &decision.outcome.names().1) {
        (Some(label), _) => label.clone(),
        (None, Some(cause)) => format!("undetermined ({})", cause.replace('_', " ")),
        (None, None) => word(decision.outcome.is_violation()).to_owned(),
    };
    let numbers = [("score", decision.score), ("probability", decision.probability)];
    let numbers = numbers.map(|(name, it)| it.map(|it| format!(", {name} {it:.3}")));
    let numbers: String = numbers.into_iter().flatten().collect();
    let class = if item.is_right() { "right" } else { "wrong" };
    Html::element(
        "summary",
        &[],
        [
            Html::leaf("b", &[], &item.case.id),
            Html::text(&format!(" expected {} {expected}, ", word(Some(item.truth())))),
            Html::leaf(
                "span",
                &[("class", class)],
                &format!("given {} {given}", word(decision.outcome.is_violation())),
            ),
            Html::leaf("span", &[("class", "dim")], &numbers),
        ],
    )
}

/// The text of rules, those cited marked.
fn rules(name: &str, is_marked: bool, codes: &[String], judged: &Judged<'_>) -> Vec<Html> {
    let text = |code: &String| match judged.source.suite.policy.rule(code) {
        Some(rule) => {
            let name = rule.name.as_ref().map(|name| format!(" {name}:")).unwrap_or_default();
            format!("{code}{name} {}", rule.text)
        }
        None => code.clone(),
    };
    let element = if is_marked { "mark" } else { "span" };
    let lines: Vec<Html> = codes
        .iter()
        .map(|code| Html::element("div", &[], [Html::leaf(element, &[], &text(code))]))
        .collect();
    if lines.is_empty() {
        return lines;
    }
    std::iter::once(Html::leaf("p", &[("class", "name")], name)).chain(lines).collect()
}

fn named(name: &str, element: &'static str, text: &str) -> [Html; 2] {
    [Html::leaf("p", &[("class", "name")], name), Html::leaf(element, &[("dir", "auto")], text)]
}
