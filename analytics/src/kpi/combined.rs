//! Several KPIs in one query: each file's columns, named by the KPI, over the one table that they read.
//!
//! Every file groups by the same three columns, so that its columns can stand beside those of others: what one costs is then
//! what it aggregates, and not a query of its own.

use std::fmt::Write as _;

use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use schemas::kpi::KpiDefinition;

use super::KpiError;

/// What happened.
pub(super) const CELLS: &str = "cells";
/// What stands.
pub(super) const GAUGES: &str = "gauges";
const GROUPS: [&str; 3] = ["bucket", "dimension", "key"];

/// A query over one table, and the KPIs whose columns it gives.
#[derive(Debug)]
pub(super) struct Combined<'a> {
    pub(super) sql: String,
    pub(super) kpis: Vec<&'a KpiDefinition>,
}

/// The queries that give all these KPIs: at most one for each table.
///
/// # Errors
/// [`KpiError::Shape`], if a file has not the form that all must have.
pub(super) fn combine<'a>(kpis: impl Iterator<Item = &'a KpiDefinition>) -> Result<Vec<Combined<'a>>, KpiError> {
    let groups = GROUPS.join(", ");
    let mut tables = [(CELLS, String::new(), Vec::new()), (GAUGES, String::new(), Vec::new())];
    for kpi in kpis {
        let (table, columns) = taken_apart(kpi).ok_or_else(|| KpiError::Shape { kpi: kpi.name.clone() })?;
        let known = tables.iter_mut().find(|(name, ..)| *name == table);
        let (_, all, kpis) = known.ok_or_else(|| KpiError::Shape { kpi: kpi.name.clone() })?;
        all.push_str(&columns);
        kpis.push(kpi);
    }
    let used = tables.into_iter().filter(|(_, _, kpis)| !kpis.is_empty());
    Ok(used
        .map(|(table, columns, kpis)| Combined {
            sql: format!("SELECT {groups}{columns} FROM {table} GROUP BY {groups}"),
            kpis,
        })
        .collect())
}

/// The name of a KPI's column in a combined query.
pub(super) fn column(kpi: &KpiDefinition, name: &str) -> String {
    format!("{}/{name}", kpi.name)
}

/// The table that a KPI's SQL reads, and its columns beside the groups, each with a comma before it and named anew.
fn taken_apart(kpi: &KpiDefinition) -> Option<(String, String)> {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, &kpi.sql).ok()?.into_iter();
    let (Statement::Query(query), None) = (statements.next()?, statements.next()) else { return None };
    let SetExpr::Select(select) = *query.body else { return None };
    let [table] = select.from.as_slice() else { return None };
    let whole = format!("{} FROM {table} GROUP BY {}", select_list(&select.projection), GROUPS.join(", "));
    // Nothing but these: no filter, no order, no limit.
    if squeezed(&kpi.sql) != format!("SELECT {}", squeezed(&whole)) {
        return None;
    }
    let mut columns = String::new();
    for (place, item) in select.projection.iter().enumerate() {
        match (GROUPS.get(place), item) {
            (Some(group), SelectItem::UnnamedExpr(expr)) if expr.to_string() == *group => {}
            (None, SelectItem::ExprWithAlias { expr, alias }) => {
                // Writing to a String cannot fail.
                let _written = write!(columns, ", {expr} AS \"{}\"", column(kpi, &alias.value));
            }
            _ => return None,
        }
    }
    Some((table.to_string(), columns))
}

fn select_list(items: &[SelectItem]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A text with every run of blanks as one.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
