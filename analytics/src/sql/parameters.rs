//! The values of `$1`, `$2`, … in a query.
//!
//! They take their places in the syntax tree as literals before the gate looks at it, so that a value passes the same gate as
//! one that stands in the text and is planned like it: a text whose type the client left open takes the type of what it is
//! compared with. A value never becomes text that is parsed again.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, CastKind, DataType, ExactNumberInfo, Expr, TimezoneInfo, Value, VisitMut, visit_expressions_mut,
};
use serde::{Deserialize, Serialize};

use super::SqlError;

/// The most parameters of a query.
pub const MAX_PARAMETERS: usize = 1_000;
/// The most bytes of all values of a query together.
pub const MAX_PARAMETER_BYTES: usize = 64 * 1024;

/// The type of a value that has no literal of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlType {
    /// True or false.
    Bool,
    /// A 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// Text.
    Text,
    /// A decimal number.
    Decimal,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// An instant without a zone.
    Timestamp,
    /// An instant.
    Instant,
    /// A span of time.
    Interval,
}

impl SqlType {
    fn ast(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::BigInt(None),
            Self::Float => DataType::DoublePrecision,
            Self::Text => DataType::Text,
            Self::Decimal => DataType::Numeric(ExactNumberInfo::PrecisionAndScale(38, 10)),
            Self::Date => DataType::Date,
            Self::Time => DataType::Time(None, TimezoneInfo::None),
            Self::Timestamp => DataType::Timestamp(None, TimezoneInfo::None),
            Self::Instant => DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
            Self::Interval => DataType::Interval { fields: None, precision: None },
        }
    }
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlValue {
    /// Nothing; with a type if it is known.
    Null(Option<SqlType>),
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A text as if it stood in the query between apostrophes.
    Text(String),
    /// What this text is as this type.
    Typed(SqlType, String),
    /// A list.
    List(Vec<SqlValue>),
}

impl SqlValue {
    /// A float, with every bit of it.
    pub fn float(value: f64) -> Self {
        Self::Typed(SqlType::Float, value.to_string())
    }

    /// About how many bytes it has.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null(_) | Self::Bool(_) | Self::Int(_) => 8,
            Self::Text(text) | Self::Typed(_, text) => text.len() + 8,
            Self::List(items) => items.iter().map(Self::bytes).sum::<usize>() + 8,
        }
    }

    fn into_expr(self) -> Expr {
        let cast = |expr: Expr, data_type: SqlType| Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(expr),
            data_type: data_type.ast(),
            array: false,
            format: None,
        };
        match self {
            Self::Null(None) => literal(Value::Null),
            Self::Null(Some(data_type)) => cast(literal(Value::Null), data_type),
            Self::Bool(value) => literal(Value::Boolean(value)),
            Self::Int(value) => literal(Value::Number(value.to_string(), false)),
            Self::Text(text) => literal(Value::SingleQuotedString(text)),
            Self::Typed(data_type, text) => cast(literal(Value::SingleQuotedString(text)), data_type),
            Self::List(items) => {
                Expr::Array(Array { elem: items.into_iter().map(Self::into_expr).collect(), named: true })
            }
        }
    }
}

fn literal(value: Value) -> Expr {
    Expr::Value(value.into())
}

/// Puts the values into the tree.
///
/// # Errors
/// [`SqlError::Refused`] if they are too many or too large, [`SqlError::Invalid`] if one is missing.
pub(crate) fn put<T: VisitMut>(tree: &mut T, values: &[SqlValue]) -> Result<(), SqlError> {
    let bytes: usize = values.iter().map(SqlValue::bytes).sum();
    if values.len() > MAX_PARAMETERS || bytes > MAX_PARAMETER_BYTES {
        let reason = format!(
            "the query has {} parameters of {bytes} bytes, at most {MAX_PARAMETERS} of {MAX_PARAMETER_BYTES} are allowed: \
             write fewer or shorter ones",
            values.len()
        );
        return Err(SqlError::Refused { reason });
    }
    // A named parameter or a question mark stands for no value here, and is told so by its name.
    let filled = visit_expressions_mut(tree, |expr| {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        match number(name).and_then(|number| values.get(number - 1)) {
            Some(value) => {
                *expr = value.clone().into_expr();
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(missing(name)),
        }
    });
    match filled {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Puts typed nulls for the parameters whose types are known; the others stay. Returns how many the query has.
///
/// # Errors
/// [`SqlError::Invalid`] for a parameter that is not `$1`, `$2`, …; [`SqlError::Refused`] if there are too many.
pub(crate) fn put_types<T: VisitMut>(tree: &mut T, types: &[Option<SqlType>]) -> Result<usize, SqlError> {
    let mut count = 0;
    let filled = visit_expressions_mut(tree, |expr| {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        let Some(number) = number(name).filter(|number| *number <= MAX_PARAMETERS) else {
            return ControlFlow::Break(missing(name));
        };
        count = count.max(number);
        if let Some(Some(data_type)) = types.get(number - 1) {
            *expr = SqlValue::Null(Some(*data_type)).into_expr();
        }
        ControlFlow::Continue(())
    });
    match filled {
        ControlFlow::Continue(()) => Ok(count),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The number of `$1`, from 1.
fn number(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok().filter(|number| *number > 0)
}

fn missing(name: &str) -> SqlError {
    let shown: String = name.chars().take(64).collect();
    SqlError::Invalid {
        reason: format!("the parameter {shown} has no value: write $1 to ${MAX_PARAMETERS}, and give a value for each"),
    }
}
