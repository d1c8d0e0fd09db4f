//! What rules may ask beside the object.

use serde::{Deserialize, Serialize};

use crate::data::{Allowed, DataLimits, Permission};

/// What rules may ask of the stores, and what an answer may cost. Nothing unless allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Whether `taffrail.promql` may be called.
    pub promql: Permission,
    /// Whether `taffrail.logql` may be called.
    pub logql: Permission,
    /// How many series, or lines, an answer may have.
    pub series_max: usize,
    /// How long all answers of a review may be together; they are recorded with its decision.
    pub bytes_max: usize,
    /// How many questions a review may ask.
    pub questions_max: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        let limits = DataLimits::default();
        DataConfig {
            promql: Permission::Refuse,
            logql: Permission::Refuse,
            series_max: limits.series_max,
            bytes_max: limits.bytes_max,
            questions_max: limits.questions_max,
        }
    }
}

impl DataConfig {
    pub(crate) fn allowed(&self) -> Allowed {
        Allowed {
            promql: self.promql,
            logql: self.logql,
        }
    }

    pub(crate) fn limits(&self) -> DataLimits {
        DataLimits {
            series_max: self.series_max,
            bytes_max: self.bytes_max,
            questions_max: self.questions_max,
        }
    }
}
