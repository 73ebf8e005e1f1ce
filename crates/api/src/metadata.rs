use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whatever a user wants kept with an asset: names to strings, numbers, booleans or lists of strings (contract,
/// section 4). That values are of these kinds is checked by the server.
pub type UserMetadata = Map<String, Value>;

/// The body of PATCH and PUT of user metadata. PATCH merges and `null` deletes a name, PUT replaces all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetUserMetadata {
    /// What is set.
    pub user_metadata: UserMetadata,
}
