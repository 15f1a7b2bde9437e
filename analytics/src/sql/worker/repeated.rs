//! Guards against a wrong result of DataFusion 55: its rule `optimize_projections` drops a projection that is written like the
//! one beneath it, though computing twice is not computing once. `SELECT x + 1 AS x FROM (SELECT x + 1 AS x FROM …)` adds 1
//! only. Such a query is refused: no number is better than a wrong one.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use crate::sql::SqlError;

/// Refuses a plan in which a projection that computes something stands over one that is written alike, with nothing in
/// between that the optimizer could not take away.
pub(super) fn refuse(plan: &LogicalPlan) -> Result<(), SqlError> {
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Projection(projection) = node
            && computes(projection)
            && next_projection(&projection.input).is_some_and(|beneath| beneath.expr == projection.expr)
        {
            found = projection.expr.iter().find(|expr| !is_column(expr)).map(ToString::to_string);
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    match (walked, found) {
        (Err(_), _) => Err(SqlError::Unavailable),
        (Ok(_), Some(expr)) => Err(SqlError::Refused {
            reason: format!(
                "{} is computed by a subquery and by the query over it in the same words: give it another name in one of them",
                expr.chars().take(200).collect::<String>()
            ),
        }),
        (Ok(_), None) => Ok(()),
    }
}

fn computes(projection: &Projection) -> bool {
    projection.expr.iter().any(|expr| !is_column(expr))
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_column(&alias.expr),
        _ => false,
    }
}

fn next_projection(mut plan: &LogicalPlan) -> Option<&Projection> {
    loop {
        plan = match plan {
            LogicalPlan::Projection(projection) if computes(projection) => return Some(projection),
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::Sort(sort) => &sort.input,
            LogicalPlan::Limit(limit) => &limit.input,
            _ => return None,
        };
    }
}
