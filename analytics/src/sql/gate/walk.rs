//! The walk over the syntax tree: what it may hold, and how much of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, ObjectName,
    Query, Select, SelectFlavor, SetExpr, TableFactor, Value, Visit, Visitor,
};

use super::{
    MAX_CTES, MAX_CUBE, MAX_DEPTH, MAX_EXPANDED_RELATIONS, MAX_IN_LIST, MAX_JOINS, MAX_NODES, MAX_QUERY_DEPTH,
    MAX_REGEX_BYTES, MAX_REGEXES, MAX_SET_OPERATIONS, MAX_WINDOWS, over, refused,
};
use crate::schema;
use crate::sql::SqlError;
use crate::sql::functions;

pub(super) fn check(query: &Query) -> Result<(), SqlError> {
    let mut walk = Walk::default();
    match query.visit(&mut walk) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

type Flow = ControlFlow<SqlError>;

/// What has been seen so far.
#[derive(Default)]
struct Walk {
    nodes: usize,
    depth: usize,
    joins: usize,
    set_operations: usize,
    ctes: usize,
    windows: usize,
    regexes: usize,
    /// Expressions that go on with the chain of their parent, by address, and so are no deeper than it.
    chained: BTreeSet<usize>,
    /// By the address of its query: the name of a named subquery that is being walked or will be.
    named: BTreeMap<usize, String>,
    /// How many tables each named subquery reads, by name; the largest, if several have the same name.
    weights: BTreeMap<String, usize>,
    /// How many tables each query that is being walked reads so far, outermost first.
    open: Vec<usize>,
}

fn address<T>(node: &T) -> usize {
    std::ptr::from_ref(node).addr()
}

fn stop(reason: &str) -> Flow {
    ControlFlow::Break(refused(reason))
}

fn within(what: &str, found: usize, unit: &str, limit: usize, fix: &str) -> Flow {
    if found > limit { ControlFlow::Break(over(what, found, unit, limit, fix)) } else { ControlFlow::Continue(()) }
}

impl Walk {
    fn node(&mut self) -> Flow {
        self.nodes += 1;
        within("the query has", self.nodes, "parts", MAX_NODES, "shorten it")
    }

    fn deeper(&mut self) -> Flow {
        self.depth += 1;
        within("the query is nested", self.depth, "deep", MAX_DEPTH, "flatten it")
    }

    fn read(&mut self, tables: usize) -> Flow {
        let Some(open) = self.open.last_mut() else { return ControlFlow::Continue(()) };
        *open = open.saturating_add(tables);
        let fix = "a named subquery counts each time it is used; use it less often";
        within("the query reads", *open, "tables", MAX_EXPANDED_RELATIONS, fix)
    }

    fn set_expression(&mut self, body: &SetExpr) -> Flow {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
            SetExpr::SetOperation { left, right, .. } => {
                self.set_operations += 1;
                let fix = "use fewer UNION, INTERSECT and EXCEPT";
                within("the query has", self.set_operations, "set operations", MAX_SET_OPERATIONS, fix)?;
                self.set_expression(left)?;
                self.set_expression(right)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                stop("tables are read-only: INSERT, UPDATE, DELETE and MERGE are not run")
            }
            SetExpr::Table(_) => stop("write SELECT * FROM name instead of TABLE name"),
        }
    }

    fn function(&mut self, function: &Function) -> Flow {
        let name = function.name.to_string().to_lowercase();
        let name = name.trim_matches('"');
        if !functions::is_allowed(name) {
            let shown: String = name.chars().take(64).collect();
            return ControlFlow::Break(SqlError::Refused {
                reason: format!(
                    "the function {shown} is not available here; available are {}",
                    functions::all().join(", ")
                ),
            });
        }
        if function.over.is_some() {
            self.windows += 1;
            within("the query has", self.windows, "window functions", MAX_WINDOWS, "use fewer")?;
        }
        if functions::REGEX.contains(&name) {
            let pattern = match &function.args {
                FunctionArguments::List(list) => list.args.get(1),
                FunctionArguments::None | FunctionArguments::Subquery(_) => None,
            };
            let pattern = match pattern {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(pattern))) => Some(pattern),
                _ => None,
            };
            self.regex(pattern)?;
        }
        ControlFlow::Continue(())
    }

    fn regex(&mut self, pattern: Option<&Expr>) -> Flow {
        self.regexes += 1;
        within("the query has", self.regexes, "regular expressions", MAX_REGEXES, "use LIKE where it does")?;
        let text = match pattern {
            Some(Expr::Value(value)) => match &value.value {
                Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
                // Only a query that is described but not run still has one here.
                Value::Placeholder(name) => Some(name),
                _ => None,
            },
            _ => None,
        };
        match text {
            Some(text) => within("a regular expression has", text.len(), "bytes", MAX_REGEX_BYTES, "shorten it"),
            None => stop("a regular expression must be a text literal, not a column or an expression"),
        }
    }

    fn data_type(data_type: &DataType) -> Flow {
        use DataType as D;
        match data_type {
            D::Text
            | D::Varchar(_)
            | D::CharVarying(_)
            | D::CharacterVarying(_)
            | D::Char(_)
            | D::Character(_)
            | D::String(_)
            | D::TinyInt(_)
            | D::SmallInt(_)
            | D::Int2(_)
            | D::Int4(_)
            | D::Int8(_)
            | D::Int(_)
            | D::Integer(_)
            | D::BigInt(_)
            | D::Float(_)
            | D::Float4
            | D::Float8
            | D::Real
            | D::Double(_)
            | D::DoublePrecision
            | D::Numeric(_)
            | D::Decimal(_)
            | D::Bool
            | D::Boolean
            | D::Date
            | D::Time(..)
            | D::Timestamp(..)
            | D::Interval { .. } => ControlFlow::Continue(()),
            _ => stop("a CAST may give text, numbers, booleans, dates, times, timestamps and intervals only"),
        }
    }

    fn expression(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::InList { list, .. } => within("an IN list has", list.len(), "values", MAX_IN_LIST, "use a join"),
            Expr::SimilarTo { pattern, .. } | Expr::RLike { pattern, .. } => self.regex(Some(pattern)),
            Expr::BinaryOp { op, right, .. } if is_regex(op) => self.regex(Some(right)),
            Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } if is_regex(compare_op) => self.regex(None),
            Expr::Cast { data_type, .. } => Self::data_type(data_type),
            Expr::TypedString(typed) => Self::data_type(&typed.data_type),
            Expr::Convert { .. } => stop("write CAST instead of CONVERT"),
            Expr::Cube(columns) => within("CUBE has", columns.len(), "columns", MAX_CUBE, "use GROUPING SETS"),
            Expr::Overlay { .. } => stop("OVERLAY is not available here; use concat and substr"),
            Expr::Struct { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::Lambda(_)
            | Expr::MatchAgainst { .. }
            | Expr::MemberOf(_)
            | Expr::JsonAccess { .. }
            | Expr::Prior(_)
            | Expr::OuterJoin(_)
            | Expr::Prefixed { .. } => stop("structs, maps, lambdas, JSON paths and MATCH are not available here"),
            _ => ControlFlow::Continue(()),
        }
    }
}

const fn is_regex(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
            | BinaryOperator::Regexp
            | BinaryOperator::Match
    )
}

impl Visitor for Walk {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        self.node()?;
        self.deeper()?;
        self.open.push(0);
        let fix = "flatten the query";
        within("queries are nested", self.open.len(), "deep", MAX_QUERY_DEPTH, fix)?;
        if let Some(with) = &query.with {
            if with.recursive {
                return stop("WITH RECURSIVE is not available here");
            }
            self.ctes += with.cte_tables.len();
            within("the query has", self.ctes, "named subqueries", MAX_CTES, "use fewer")?;
            for cte in &with.cte_tables {
                self.named.insert(address(cte.query.as_ref()), cte.alias.name.value.to_lowercase());
            }
        }
        if !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
        {
            return stop("FOR, SETTINGS, FORMAT and |> are not available here");
        }
        self.set_expression(&query.body)
    }

    fn post_visit_query(&mut self, query: &Query) -> Flow {
        self.depth = self.depth.saturating_sub(1);
        let tables = self.open.pop().unwrap_or(0);
        match self.named.remove(&address(query)) {
            Some(name) => {
                let weight = self.weights.entry(name).or_insert(1);
                *weight = tables.max(*weight);
                ControlFlow::Continue(())
            }
            None => self.read(tables),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        self.nodes += select.projection.len();
        self.node()?;
        let joins: usize = select.from.iter().map(|table| table.joins.len()).sum();
        self.joins += joins + select.from.len().saturating_sub(1);
        within("the query has", self.joins, "joins", MAX_JOINS, "use fewer, or aggregate first")?;
        if select.into.is_some() {
            return stop("tables are read-only: SELECT INTO is not run");
        }
        if !select.lateral_views.is_empty()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.prewhere.is_some()
            || select.top.is_some()
            || select.value_table_mode.is_some()
            || select.flavor != SelectFlavor::Standard
        {
            return stop("write a plain SELECT … FROM … WHERE … GROUP BY … HAVING … ORDER BY … LIMIT");
        }
        match &select.group_by {
            GroupByExpr::Expressions(_, modifiers) | GroupByExpr::All(modifiers) if !modifiers.is_empty() => {
                stop("write GROUP BY ROLLUP (…) or GROUPING SETS (…) instead of WITH ROLLUP, WITH CUBE or WITH TOTALS")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        self.node()?;
        match factor {
            TableFactor::Table {
                args: None,
                version: None,
                json_path: None,
                sample: None,
                with_ordinality: false,
                ..
            }
            | TableFactor::Derived { sample: None, .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => stop(
                "FROM takes tables and subqueries: table functions, UNNEST, PIVOT, TABLESAMPLE and the like are not \
                 available there",
            ),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        let name = match relation.0.as_slice() {
            [part] => part.as_ident().map(|ident| ident.value.to_lowercase()),
            _ => None,
        };
        if let Some(weight) = name.as_ref().and_then(|name| self.weights.get(name)).copied() {
            return self.read(weight);
        }
        if name.is_some_and(|name| schema::ALL.iter().any(|table| table.name == name)) {
            return self.read(1);
        }
        let shown: String = relation.to_string().chars().take(64).collect();
        let known: Vec<_> = schema::ALL.iter().map(|table| table.name).collect();
        ControlFlow::Break(SqlError::Refused {
            reason: format!("there is no table {shown}; there are {}", known.join(", ")),
        })
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        self.node()?;
        if !self.chained.contains(&address(expr)) {
            self.deeper()?;
        }
        if let Expr::BinaryOp { left, .. } = expr
            && matches!(left.as_ref(), Expr::BinaryOp { .. })
        {
            self.chained.insert(address(left.as_ref()));
        }
        self.expression(expr)
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> Flow {
        if !self.chained.remove(&address(expr)) {
            self.depth = self.depth.saturating_sub(1);
        }
        ControlFlow::Continue(())
    }
}
