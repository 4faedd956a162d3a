//! Long work that needs no model in memory: on data, or on checkpoints of other programs. A request is JSON with the key
//! `job`, and so is its report; `ffi/ts/job.ts` has the types of both.

use crate::data::Watch;
use crate::data::jobs::{JobRequest, report};
use crate::error::Result;
use crate::interop::{ExportRequest, ImportRequest};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    Data(JobRequest),
    Import(ImportRequest),
    Export(ExportRequest),
}

impl<'de> Deserialize<'de> for Job {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let mut request = Value::deserialize(d)?;
        let parse: fn(Value) -> serde_json::Result<Job> = match request["job"].as_str() {
            Some("import") => |fields| serde_json::from_value(fields).map(Job::Import),
            Some("export") => |fields| serde_json::from_value(fields).map(Job::Export),
            _ => return serde_json::from_value(request).map(Job::Data).map_err(de::Error::custom),
        };
        if let Some(fields) = request.as_object_mut() {
            fields.remove("job");
        }
        parse(request).map_err(de::Error::custom)
    }
}

impl Job {
    /// Does it and returns the report.
    pub fn run(&self, watch: &Watch) -> Result<String> {
        match self {
            Job::Data(request) => request.run(watch),
            Job::Import(request) => report(&request.run(watch)?),
            Job::Export(request) => report(&request.run(watch)?),
        }
    }
}
