//! The SQL functions of KPIs: `hist_merge` and `hist_quantile` over histograms as text (see [`crate::histogram`]), and
//! `local_bucket`, which cuts time by a time zone (see [`crate::zone`]).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, ColumnarValue, ScalarUDF, Volatility, create_udaf, create_udf,
};
use schemas::Timestamp;
use schemas::kpi::KpiBucket;

use crate::histogram::Histogram;
use crate::zone::{bucket_start, next_start};

/// Makes the functions known to a session.
pub fn register(session: &SessionContext) {
    session.register_udf(hist_quantile());
    session.register_udf(local_bucket());
    session.register_udaf(hist_merge());
}

/// `local_bucket(bucket, time zone, instant)`: when the bucket (`day`, `hour`, …) begins that holds the instant, in UTC.
pub fn local_bucket() -> ScalarUDF {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    create_udf(
        "local_bucket",
        vec![DataType::Utf8, DataType::Utf8, instant.clone()],
        instant,
        Volatility::Immutable,
        Arc::new(buckets),
    )
}

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

fn buckets(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let [bucket, zone, instants] = arguments else {
        return Err(DataFusionError::Execution("local_bucket takes a bucket, a time zone and an instant".to_owned()));
    };
    let bucket = literal(bucket)?;
    let known = KpiBucket::ALL.into_iter().filter(|bucket| *bucket != KpiBucket::None);
    let bucket = known.clone().find(|known| bucket == known.as_str()).ok_or_else(|| {
        let names: Vec<_> = known.map(KpiBucket::as_str).collect();
        DataFusionError::Execution(format!("local_bucket's first argument is one of {}", names.join(", ")))
    })?;
    let zone: Tz = literal(zone)?.parse().map_err(|_unknown| {
        DataFusionError::Execution("local_bucket's second argument is a time zone such as Asia/Amman or UTC".to_owned())
    })?;
    let array = instants.to_array(1)?;
    let is_one = matches!(instants, ColumnarValue::Scalar(_));
    // Neighbours mostly lie in the same bucket.
    let mut last: Option<(i64, i64)> = None;
    let found: TimestampMicrosecondArray = array
        .as_primitive::<TimestampMicrosecondType>()
        .iter()
        .map(|micros| {
            let micros = micros?;
            if let Some((start, end)) = last
                && (start..end).contains(&micros)
            {
                return Some(start);
            }
            let at = Timestamp::from_unix_micros(micros);
            let start = bucket_start(bucket, zone, at)?.unix_micros();
            last = next_start(bucket, zone, at).map(|end| (start, end.unix_micros()));
            Some(start)
        })
        .collect();
    let found: ArrayRef = Arc::new(found.with_timezone("UTC"));
    Ok(if is_one {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?)
    } else {
        ColumnarValue::Array(found)
    })
}

/// The text that an argument must be for all rows alike.
fn literal(argument: &ColumnarValue) -> Result<String> {
    match argument {
        ColumnarValue::Scalar(
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)),
        ) => Ok(text.clone()),
        _ => {
            Err(DataFusionError::Execution("local_bucket takes its bucket and time zone as texts in quotes".to_owned()))
        }
    }
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
