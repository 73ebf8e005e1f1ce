//! The connections that read, statement by statement. None is waited for for ever.

use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyPool, Describe, Either, Execute, Executor, SqlStr,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};

use crate::pulse::{Pulse, Silent};

/// An [`Executor`] like a pool.
#[derive(Debug)]
pub(crate) struct Readers {
    pool: AnyPool,
    pulse: Pulse,
}

impl Readers {
    pub(crate) fn new(pool: AnyPool, pulse: Pulse) -> Self {
        Self { pool, pulse }
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }
}

/// A connection on which nobody answered is not given back: it would be asked whether it is well.
fn given_back<T>(
    connection: PoolConnection<Any>,
    answer: Result<sqlx::Result<T>, Silent>,
) -> sqlx::Result<T> {
    answer.unwrap_or_else(|silent| {
        drop(connection.detach());
        Err(silent.into())
    })
}

impl<'c> Executor<'c> for &'c Readers {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let all = async move {
            let mut connection = self.pool.acquire().await?;
            let all = connection.fetch_many(query).try_collect::<Vec<_>>();
            let answer = self.pulse.guard(all).await;
            given_back(connection, answer)
        };
        stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        async move {
            let mut connection = self.pool.acquire().await?;
            let answer = self.pulse.guard(connection.fetch_optional(query)).await;
            given_back(connection, answer)
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        'c: 'e,
    {
        self.pool.describe(sql)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        async move {
            let mut connection = self.pool.acquire().await?;
            let answer = self.pulse.guard(connection.prepare_with(sql, parameters)).await;
            given_back(connection, answer)
        }
        .boxed()
    }
}
