// SPDX-License-Identifier: GPL-2.0-only
use super::*;

fn cost(value: f64) -> Option<Cost> {
    Some(Cost {
        value,
        nanoseconds: Some(value * 2.0),
    })
}

fn row(name: &str, hot: bool, ours: f64, peers: [Option<Cost>; 2]) -> Row {
    Row {
        name: name.into(),
        hot,
        unit: INSTRUCTIONS.into(),
        ours: cost(ours),
        peers: peers.to_vec(),
    }
}

fn example() -> Table {
    Table {
        peers: vec!["new", "old"],
        rows: vec![
            row("a", true, 50.0, [cost(200.0), cost(100.0)]),
            row("b", false, 30.0, [None, cost(20.0)]),
            row("c", true, 7.0, [None, None]),
        ],
    }
}

#[test]
fn a_ratio_is_to_the_better_peer() {
    let ratios: Vec<_> = example().rows.iter().map(Row::ratios).collect();
    assert_eq!(
        ratios,
        [(Some(0.5), Some(0.5)), (Some(1.5), Some(1.5)), (None, None)]
    );
}

#[test]
fn json_has_what_was_asked_for_and_no_more() {
    assert_eq!(
        show::json(&example()),
        "{\"rows\":[\
         {\"name\":\"a\",\"hot\":true,\"ours\":50,\"peers\":{\"new\":200,\"old\":100},\"ratio\":0.5},\
         {\"name\":\"b\",\"hot\":false,\"ours\":30,\"peers\":{\"new\":null,\"old\":20},\"ratio\":1.5},\
         {\"name\":\"c\",\"hot\":true,\"ours\":7,\"peers\":{\"new\":null,\"old\":null},\"ratio\":null}]}"
    );
}

#[test]
fn the_table_shows_what_cannot_be_done_as_a_dash() {
    let text = show::table(&example());
    let line = |name: &str| {
        let found = text
            .lines()
            .find(|l| l.split_whitespace().any(|w| w == name));
        let words = found.unwrap_or_default().split_whitespace();
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("a"), ["*", "a", "50", "200", "100", "0.50", "0.50"]);
    assert_eq!(line("b"), ["b", "30", "-", "20", "1.50", "1.50"]);
}

#[test]
fn hot_rows_that_can_be_compared_are_drawn() {
    let svg = chart::svg(&example());
    // The ground, three in the legend, and the three bars of `a`.
    assert_eq!(svg.matches("<rect").count(), 1 + 3 + 3, "{svg}");
    assert!(
        svg.contains(">a</text>") && !svg.contains(">b</text>"),
        "{svg}"
    );
    assert!(
        svg.contains("width=\"110\" height=\"9\" fill=\"#c8553d\""),
        "{svg}"
    );
}

#[test]
fn only_the_vgics_own_functions_and_its_locks_count() {
    let vgic = Path::new("/peers/old.so");
    let mock = paths::root().join("harness/c/locks.c");
    let function = |object: &str, file: &str, name: &str| Function {
        object: object.into(),
        file: file.into(),
        name: name.into(),
    };
    let own = function("/peers/old.so", "/xen/vgic.c", "inject");
    let mocks = function("/peers/old.so", &mock.to_string_lossy(), "_spin_lock");
    let others = function("/harness", "machine.rs", "enter");
    let mut profile = Profile::default();
    profile.own.insert(own.clone(), 100);
    profile.own.insert(mocks.clone(), 1000);
    profile.own.insert(others, 10_000);
    for callee in [
        "_spin_lock",
        "_spin_unlock",
        "mock_local_irq_save",
        "memset",
    ] {
        profile.calls.insert((own.clone(), callee.into()), 2);
        profile.calls.insert((mocks.clone(), callee.into()), 5);
    }
    assert_eq!(
        price(&profile, vgic).unwrap(),
        100 + 2 * (LOCK + UNLOCK + IRQ_SAVE)
    );
    assert!(price(&profile, Path::new("/peers/new.so")).is_err());
}

#[test]
fn lines_of_the_harness_are_understood() {
    let line = Line::parse("a row\ttrue\tbytes\t1\t2\t3.5").unwrap();
    assert_eq!((line.name.as_str(), line.hot), ("a row", true));
    let found = line.found.unwrap();
    assert_eq!((found.parts, found.operations, found.value), (1, 2, 3.5));
    assert_eq!(Line::parse("a row\tfalse\tns").unwrap().found, None);
    assert!(Line::parse("a row\tfalse").is_err());
    assert!(Line::parse("a\tfalse\tns\tmany\t2\t3").is_err());
}

#[test]
fn the_median_is_in_the_middle() {
    assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
    assert_eq!(median(Vec::new()), None);
}
