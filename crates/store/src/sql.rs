//! Statements that are put together from parts, with numbered placeholders as both databases take them.

use sqlx::{
    Any, AssertSqlSafe, FromRow,
    any::{AnyArguments, AnyRow},
    query::{QueryAs, QueryScalar},
};

/// A statement being put together.
#[derive(Debug)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

/// What is bound to a placeholder.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl Sql {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A placeholder, and what is bound to it.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let placeholder = format!("${}", self.values.len());
        self.push(&placeholder)
    }

    /// `(placeholder, …)`
    pub(crate) fn bind_list(&mut self, values: impl Iterator<Item = String>) -> &mut Self {
        // With NULL the list may be empty, and still nothing else is in it.
        self.push("(NULL");
        for value in values {
            self.push(", ").bind(value);
        }
        self.push(")")
    }

    /// To fetch rows by.
    pub(crate) fn rows<T: for<'r> FromRow<'r, AnyRow>>(self) -> QueryAs<'static, Any, T, AnyArguments> {
        let query = sqlx::query_as(AssertSqlSafe(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(integer) => query.bind(integer),
            Value::Number(number) => query.bind(number),
        })
    }

    /// To fetch one number by.
    pub(crate) fn number(self) -> QueryScalar<'static, Any, i64, AnyArguments> {
        let query = sqlx::query_scalar(AssertSqlSafe(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(integer) => query.bind(integer),
            Value::Number(number) => query.bind(number),
        })
    }

    /// How the statement would be run, to be fetched line by line; as Postgres tells it.
    #[cfg(test)]
    pub(crate) fn explained(self) -> Self {
        Self { text: format!("EXPLAIN (COSTS OFF) {}", self.text), ..self }
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
