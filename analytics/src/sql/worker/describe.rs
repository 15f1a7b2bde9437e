//! What a query would answer, from its plan alone: nothing is read but the files' footers.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::DataFusionError;
use datafusion::prelude::SessionContext;

use super::plan;
use crate::sql::gate::Checked;
use crate::sql::parameters::{self, SqlType};
use crate::sql::protocol::Head;

/// The schema of a query's answer as an Arrow IPC stream without rows, and the types of its parameters: those that are known,
/// then those that follow from where the parameter stands, else text.
pub(super) async fn describe(
    session: &SessionContext,
    checked: Checked,
    known: &[Option<SqlType>],
) -> Result<(Head, Vec<u8>), DataFusionError> {
    let Checked { mut tree, parameters: count } = checked;
    let mut types: Vec<Option<SqlType>> = (0..count).map(|index| known.get(index).copied().flatten()).collect();
    if types.contains(&None) {
        let inferred =
            plan(session, tree.clone()).await.and_then(|plan| plan.get_parameter_types()).unwrap_or_default();
        for (index, place) in types.iter_mut().enumerate() {
            *place = place.or_else(|| inferred_type(&inferred, index + 1));
        }
        // What nothing says a type of is text, as for Postgres.
        for place in &mut types {
            place.get_or_insert(SqlType::Text);
        }
        parameters::put_types(&mut tree, &types).map_err(|error| DataFusionError::Plan(error.to_string()))?;
    }
    let plan = plan(session, tree).await?;
    let schema = session.state().optimize(&plan)?.schema().as_arrow().clone();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.finish()?;
    Ok((Head::Shape { parameters: types.into_iter().flatten().collect() }, writer.into_inner()?))
}

fn inferred_type(inferred: &HashMap<String, Option<DataType>>, number: usize) -> Option<SqlType> {
    Some(match inferred.get(&format!("${number}"))?.as_ref()? {
        DataType::Boolean => SqlType::Bool,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => SqlType::Float,
        DataType::Decimal128(..) | DataType::Decimal256(..) => SqlType::Decimal,
        DataType::Date32 | DataType::Date64 => SqlType::Date,
        DataType::Time32(_) | DataType::Time64(_) => SqlType::Time,
        DataType::Timestamp(_, None) => SqlType::Timestamp,
        DataType::Timestamp(_, Some(_)) => SqlType::Instant,
        DataType::Interval(_) | DataType::Duration(_) => SqlType::Interval,
        whole if whole.is_integer() => SqlType::Int,
        _ => SqlType::Text,
    })
}
