//! AdmissionReview, in and out.
//!
//! The request is read into what it means: which of the objects we judge it holds, which
//! operation, on behalf of whom. The object itself stays JSON, for it goes to Rego as it came;
//! that it can be read as what it is said to be is [`pod`]'s concern.
//!
//! Our own small types rather than a client library's: an object is decoded once into JSON and
//! never into a typed struct that would drop the fields a newer API has, and the answer is
//! spelled out here in full. Reading never panics, and what cannot be read is an error, never a
//! request that asks for nothing.

pub mod pod;
pub mod response;
mod shape;
pub mod target;
pub mod update;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use response::respond;
pub use target::{Target, Workload, group_of};

/// One request to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// The id the answer must carry.
    pub uid: String,
    /// What is to be done.
    pub operation: Operation,
    /// To what.
    pub target: Target,
    /// The kind as it was sent, for the record.
    pub kind: String,
    /// What of the object is asked for; empty for the object itself.
    pub subresource: String,
    /// The object's namespace; empty for what has none.
    pub namespace: String,
    /// The object's name; empty where the API server has yet to choose one.
    pub name: String,
    /// Who asks.
    pub user: String,
    /// Whether nothing is stored whatever is answered.
    pub dry_run: bool,
    /// The object as it would be stored; null on DELETE.
    pub object: Value,
    /// The object as it is stored; null on CREATE.
    pub old_object: Value,
    /// The other members of the request, as they came.
    pub request: Map<String, Value>,
}

/// What is to be done with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Store a new one.
    Create,
    /// Change a stored one.
    Update,
    /// Remove it.
    Delete,
    /// Open a stream to it.
    Connect,
}

impl Operation {
    /// The operation as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// Why a body is no review.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No JSON, or JSON of another shape.
    #[error("failed to decode AdmissionReview: {0}")]
    Decode(#[from] serde_json::Error),
    /// Another kind of object.
    #[error(
        "expected an AdmissionReview of admission.k8s.io/v1, got kind {kind:?} of {api_version:?}: \
         list v1 in the webhook's admissionReviewVersions"
    )]
    Kind {
        /// The kind it says.
        kind: String,
        /// The version it says.
        api_version: String,
    },
    /// A review without a request.
    #[error("the AdmissionReview holds no request")]
    NoRequest,
    /// A request nobody could match an answer to.
    #[error("the request holds no uid")]
    NoUid,
    /// An operation we do not know how to judge.
    #[error("unknown operation {0:?}: expected CREATE, UPDATE, DELETE or CONNECT")]
    Operation(String),
    /// Nothing says what the object is.
    #[error("the request names neither a resource nor a kind")]
    NoResource,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReview {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Map<String, Value>>,
}

/// The same without the objects, which are passed over where they stand.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHead {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<RawRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest {
    #[serde(default)]
    uid: String,
    kind: Option<RawKind>,
    resource: Option<RawResource>,
    sub_resource: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    operation: String,
    user_info: Option<RawUser>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct RawKind {
    #[serde(default)]
    group: String,
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct RawResource {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resource: String,
}

#[derive(Deserialize)]
struct RawUser {
    #[serde(default)]
    username: String,
}

fn expect_kind(kind: String, api_version: String) -> Result<(), ReadError> {
    if kind == "AdmissionReview" && api_version == "admission.k8s.io/v1" {
        return Ok(());
    }
    Err(ReadError::Kind { kind, api_version })
}

impl Review {
    /// Reads a request's body.
    pub fn read(body: &[u8]) -> Result<Self, ReadError> {
        let raw: RawReview = serde_json::from_slice(body)?;
        expect_kind(raw.kind, raw.api_version)?;
        Review::of_request(raw.request.ok_or(ReadError::NoRequest)?)
    }

    /// Reads all but the objects, for a body that is too much to be judged.
    pub fn read_head(body: &[u8]) -> Result<Self, ReadError> {
        let raw: RawHead = serde_json::from_slice(body)?;
        expect_kind(raw.kind, raw.api_version)?;
        let request = raw.request.ok_or(ReadError::NoRequest)?;
        Review::of_parts(request, Value::Null, Value::Null, Map::new())
    }

    /// From the `request` of an AdmissionReview.
    pub fn of_request(mut members: Map<String, Value>) -> Result<Self, ReadError> {
        let object = members.remove("object").unwrap_or_default();
        let old_object = members.remove("oldObject").unwrap_or_default();
        let members = Value::Object(members);
        let request = RawRequest::deserialize(&members)?;
        let Value::Object(members) = members else {
            return Err(ReadError::NoRequest);
        };
        Review::of_parts(request, object, old_object, members)
    }

    fn of_parts(
        request: RawRequest,
        object: Value,
        old_object: Value,
        members: Map<String, Value>,
    ) -> Result<Self, ReadError> {
        if request.uid.is_empty() {
            return Err(ReadError::NoUid);
        }
        let operation = match request.operation.as_str() {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            "CONNECT" => Operation::Connect,
            _ => return Err(ReadError::Operation(request.operation)),
        };
        let kind = request
            .kind
            .as_ref()
            .map_or("", |kind| &kind.kind)
            .to_string();
        // The resource decides: a subresource's object may be of another kind (a pod's eviction
        // is an Eviction). Requests written by hand may name the kind only.
        let target = match (&request.resource, &request.kind) {
            (Some(resource), _) if !resource.resource.is_empty() => {
                Target::of_resource(&resource.group, &resource.resource)
            }
            (_, Some(kind)) if !kind.kind.is_empty() => Target::of_kind(&kind.group, &kind.kind),
            _ => return Err(ReadError::NoResource),
        };
        let name_inside = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .map(str::to_string);
        Ok(Review {
            uid: request.uid,
            operation,
            target,
            kind: if kind.is_empty() {
                target.as_str().to_string()
            } else {
                kind
            },
            subresource: request.sub_resource.unwrap_or_default(),
            namespace: request.namespace.unwrap_or_default(),
            name: request
                .name
                .filter(|name| !name.is_empty())
                .or(name_inside)
                .unwrap_or_default(),
            user: request
                .user_info
                .map(|user| user.username)
                .unwrap_or_default(),
            dry_run: request.dry_run.unwrap_or(false),
            object,
            old_object,
            request: members,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
