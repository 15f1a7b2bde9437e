//! What a workload says in the end: one JSON object on stdout, and lines for people on stderr.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::machine::MachineLimits;

/// Which side of the bound is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Not more than the bound.
    AtMost,
    /// Not less than the bound.
    AtLeast,
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What.
    pub name: String,
    /// What it was.
    pub measured: f64,
    /// Which side is good.
    pub side: Side,
    /// The bound.
    pub bound: f64,
    /// Of both.
    pub unit: &'static str,
    /// Whether it holds.
    pub passed: bool,
}

/// A workload's result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which workload.
    pub workload: &'static str,
    /// Whether every goal holds.
    pub passed: bool,
    /// The seed of every choice.
    pub seed: u64,
    /// What must hold.
    pub goals: Vec<Goal>,
    /// Everything that was measured.
    pub figures: Map<String, Value>,
    /// What the machine itself can do, measured in the same run.
    pub machine: MachineLimits,
    /// What the reader should know, such as a noisy machine.
    pub notes: Vec<String>,
}

impl Report {
    /// An empty report, which passes until a goal does not hold.
    pub fn new(workload: &'static str, seed: u64, machine: MachineLimits) -> Self {
        let notes = machine.noise().into_iter().collect();
        Self { workload, passed: true, seed, goals: Vec::new(), figures: Map::new(), machine, notes }
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.figures.insert(name.to_owned(), value);
    }

    /// Adds a goal that must not be exceeded.
    pub fn at_most(&mut self, name: &str, measured: f64, bound: f64, unit: &'static str) {
        self.goal(name, measured, Side::AtMost, bound, unit);
    }

    /// Adds a goal that must be reached.
    pub fn at_least(&mut self, name: &str, measured: f64, bound: f64, unit: &'static str) {
        self.goal(name, measured, Side::AtLeast, bound, unit);
    }

    fn goal(&mut self, name: &str, measured: f64, side: Side, bound: f64, unit: &'static str) {
        let passed = match side {
            Side::AtMost => measured <= bound,
            Side::AtLeast => measured >= bound,
        };
        self.passed &= passed;
        self.goals.push(Goal { name: name.to_owned(), measured, side, bound, unit, passed });
    }

    /// Adds a note.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The lines for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.workload, if self.passed { "passed" } else { "FAILED" })];
        for goal in &self.goals {
            let side = if goal.side == Side::AtMost { "≤" } else { "≥" };
            lines.push(format!(
                "  {} {}: {:.3} {} (goal {side} {:.3})",
                if goal.passed { "ok  " } else { "FAIL" },
                goal.name,
                goal.measured,
                goal.unit,
                goal.bound
            ));
        }
        for (name, value) in &self.figures {
            lines.push(format!("  {name}: {value}"));
        }
        lines.push(format!("  machine: {}", serde_json::to_string(&self.machine).unwrap_or_default()));
        lines.extend(self.notes.iter().map(|note| format!("  note: {note}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goal_that_does_not_hold_fails_the_report() {
        let mut report = Report::new("latency", 1, MachineLimits::default());
        report.at_most("p99", 20.0, 25.0, "ms");
        assert!(report.passed);
        report.at_least("ratio", 0.4, 0.5, "");
        assert!(!report.passed);
        report.at_most("not a number", f64::NAN, 1.0, "ms");
        assert!(!report.goals[2].passed, "what could not be measured does not pass");
        assert!(report.to_text().contains("FAIL ratio"));
    }
}
