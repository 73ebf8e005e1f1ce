use std::{fmt, future::IntoFuture, pin::Pin};

use serde::de::DeserializeOwned;

use crate::{Error, RawResponse, Result, request::Request};

/// A future of its own, as `.await` on a call makes it.
pub type CallFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// What can be awaited for a value, or for the value and what came beside it.
pub trait Operation: Sized + Send + 'static {
    /// The value.
    type Output: Send + 'static;

    /// Sends it. What `.await` does.
    fn perform(self) -> CallFuture<RawResponse<Self::Output>>;
}

/// A call that is awaited for status and headers beside the value.
#[derive(Debug)]
pub struct Raw<C>(pub(crate) C);

impl<C: Operation> IntoFuture for Raw<C> {
    type Output = Result<RawResponse<C::Output>>;
    type IntoFuture = CallFuture<RawResponse<C::Output>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0.perform()
    }
}

/// What every call offers, and `.await` on it. The call has a field `request`.
macro_rules! call {
    ($name:ident $(<$generic:ident>)?) => {
        impl $(<$generic>)? $name $(<$generic>)? {
            /// How long an attempt may go without a byte moving in either direction.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.request.timeout = timeout;
                self
            }

            /// How often the call is made again after 408, 429, 5xx and broken connections.
            pub fn retries(mut self, retries: u32) -> Self {
                self.request.retries = retries;
                self
            }

            /// A further header.
            pub fn header(mut self, name: &str, value: &str) -> Self {
                self.request.header(name, value);
                self
            }

            /// A further query parameter: for what a server has and this SDK does not know.
            pub fn query(mut self, name: &str, value: &str) -> Self {
                self.request.query(name, value);
                self
            }
        }

        impl $(<$generic>)? $name $(<$generic>)? where Self: crate::operation::Operation {
            /// Status, headers and body beside the value.
            pub fn with_raw_response(self) -> crate::Raw<Self> {
                crate::operation::Raw(self)
            }
        }

        impl $(<$generic>)? std::future::IntoFuture for $name $(<$generic>)?
        where
            Self: crate::operation::Operation,
        {
            type Output = crate::Result<<Self as crate::operation::Operation>::Output>;
            type IntoFuture = crate::CallFuture<<Self as crate::operation::Operation>::Output>;

            fn into_future(self) -> Self::IntoFuture {
                let answer = crate::operation::Operation::perform(self);
                Box::pin(async { Ok(answer.await?.value) })
            }
        }
    };
}

pub(crate) use call;

/// A call with nothing more to say: `.await` sends it.
pub struct Call<T> {
    pub(crate) request: Request,
    read: fn(&[u8]) -> serde_json::Result<T>,
}

call!(Call<T>);

impl<T: DeserializeOwned> Call<T> {
    pub(crate) fn json(request: Request) -> Self {
        Self { request, read: |body| serde_json::from_slice(body) }
    }
}

impl Call<()> {
    /// Whatever the body of a success is, it says nothing.
    pub(crate) fn nothing(request: Request) -> Self {
        Self { request, read: |_| Ok(()) }
    }
}

impl<T: Send + 'static> Operation for Call<T> {
    type Output = T;

    fn perform(mut self) -> CallFuture<RawResponse<T>> {
        Box::pin(async move { read(self.request.answer().await?, self.read) })
    }
}

/// An answer, read.
pub(crate) fn read<T>(
    answer: RawResponse<()>,
    read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
) -> Result<RawResponse<T>> {
    let RawResponse { status, headers, body, .. } = answer;
    match read(&body) {
        Ok(value) => Ok(RawResponse { status, headers, body, value }),
        Err(source) => Err(Error::Decode { status, body, source }),
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
