use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Schemas of the wire types, each once, as answers and bodies refer to them.
pub(super) struct Schemas {
    written: SchemaGenerator,
    read: SchemaGenerator,
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    })
}

impl Schemas {
    pub(super) fn new() -> Self {
        Self {
            written: settings().for_serialize().into_generator(),
            read: settings().for_deserialize().into_generator(),
        }
    }

    /// Of what is answered.
    pub(super) fn answer<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().into()
    }

    /// Of a body.
    pub(super) fn body<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().into()
    }

    pub(super) fn into_components(mut self) -> Value {
        let mut written = self.written.take_definitions(true);
        for schema in written.values_mut() {
            absent_is_not_null(schema);
        }
        for (name, mut schema) in self.read.take_definitions(true) {
            // A word is the same both ways.
            if written.contains_key(&name) {
                continue;
            }
            null_is_absent(&mut schema);
            written.insert(name, schema);
        }
        if let Some(set) = written.get_mut("SetUserMetadata") {
            set["properties"]["user_metadata"] = user_metadata();
        }
        for schema in ["CreateUpload", "CreateIndexedAsset"] {
            if let Some(schema) = written.get_mut(schema) {
                let mut metadata = user_metadata();
                metadata["type"] = json!(["object", "null"]);
                schema["properties"]["user_metadata"] = metadata;
            }
        }
        written.sort_keys();
        Value::Object(written)
    }
}

/// What users may keep (contract, section 4).
pub(super) fn user_metadata() -> Value {
    json!({
        "type": "object",
        "description": "Up to 100 names of up to 255 characters, 16 KiB as JSON. PATCH takes null, too: it deletes the name.",
        "maxProperties": 100,
        "propertyNames": { "minLength": 1, "maxLength": 255 },
        "additionalProperties": { "anyOf": [
            { "type": "string" },
            { "type": "number", "minimum": -9007199254740991_i64, "maximum": 9007199254740991_i64 },
            { "type": "boolean" },
            { "type": "array", "items": { "type": "string" } },
            { "type": "null" },
        ] },
    })
}

fn optional_properties(schema: &mut Value) -> impl Iterator<Item = &mut Value> {
    let required: Vec<String> =
        serde_json::from_value(schema.get("required").cloned().unwrap_or_default()).unwrap_or_default();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let properties = properties.into_iter().flat_map(Map::iter_mut);
    properties.filter(move |(name, _)| !required.contains(name)).map(|(_, property)| property)
}

/// What is not known is left out of an answer.
fn absent_is_not_null(schema: &mut Value) {
    for property in optional_properties(schema) {
        if let Some(object) = property.as_object_mut() {
            object.remove("default");
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|each| each != "null");
                if let [single] = types.as_slice() {
                    let single = single.clone();
                    object.insert("type".to_owned(), single);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|each| each["type"] != "null");
                if let [Value::Object(single)] = choices.as_mut_slice() {
                    let single = std::mem::take(single);
                    object.remove("anyOf");
                    object.extend(single);
                }
            }
        }
    }
}

/// In a body, null is absent.
fn null_is_absent(schema: &mut Value) {
    for property in optional_properties(schema) {
        if let Some(word) = property.get("type").and_then(Value::as_str) {
            property["type"] = json!([word, "null"]);
        }
    }
}
