//! The SQL functions `hist_merge` and `hist_quantile` over histograms as text (see [`crate::histogram`]).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, ColumnarValue, ScalarUDF, Volatility, create_udaf, create_udf,
};

use crate::histogram::Histogram;

/// `hist_quantile(histogram, quantile)`: the quantile (0 to 1) in seconds; null for an empty histogram.
pub fn hist_quantile() -> ScalarUDF {
    create_udf(
        "hist_quantile",
        vec![DataType::Utf8, DataType::Float64],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(quantiles),
    )
}

/// `hist_merge(histogram)`: the sum of histograms.
pub fn hist_merge() -> AggregateUDF {
    create_udaf(
        "hist_merge",
        vec![DataType::Utf8],
        Arc::new(DataType::Utf8),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Merge::default()))),
        Arc::new(vec![DataType::Utf8]),
    )
}

fn quantiles(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [histograms, quantiles] = arrays.as_slice() else {
        return Err(DataFusionError::Execution(
            "hist_quantile takes a histogram and a quantile from 0 to 1".to_owned(),
        ));
    };
    let quantiles = quantiles.as_primitive::<Float64Type>();
    let values: Float64Array = texts(histograms)
        .zip(quantiles)
        .map(|(text, quantile)| match (text, quantile) {
            (Some(text), Some(quantile)) => Ok(decode(text)?.quantile_seconds(quantile)),
            _ => Ok(None),
        })
        .collect::<Result<_>>()?;
    Ok(ColumnarValue::Array(Arc::new(values)))
}

fn texts(array: &ArrayRef) -> impl Iterator<Item = Option<&str>> {
    let array = array.as_string::<i32>();
    (0..array.len()).map(|i| array.is_valid(i).then(|| array.value(i)))
}

fn decode(text: &str) -> Result<Histogram> {
    Histogram::decode(text).map_err(|error| DataFusionError::Execution(error.to_string()))
}

#[derive(Debug, Default)]
struct Merge(Histogram);

impl Accumulator for Merge {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else { return Ok(()) };
        for text in texts(column).flatten() {
            self.0.merge(&decode(text)?);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(Some(self.0.encode())))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        // A bin takes some 48 bytes in the map; there are at most 1,200.
        size_of_val(self) + self.0.bins() * 48
    }
}
