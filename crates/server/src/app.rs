use axum::{Router, extract::Request, middleware};
use http::{HeaderName, Method};
use reelhouse_api::Fault;
use reelhouse_service::Service;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, Any, CorsLayer},
};

use crate::{
    Timeouts,
    deliver::Delivery,
    drain,
    error::{self, Error},
    routes, trace,
};

/// What handlers may use.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) service: Service,
    pub(crate) timeouts: Timeouts,
    /// The most connections of one address; 0 leaves it to what is free.
    pub(crate) connections_per_address: u32,
    pub(crate) delivery: Delivery,
}

impl App {
    /// The HTTP face of a service.
    pub fn new(service: Service, timeouts: Timeouts) -> Self {
        Self { service, timeouts, connections_per_address: 0, delivery: Delivery::default() }
    }

    /// With so many connections at most for one address.
    #[must_use]
    pub fn with_connections_per_address(self, most: u32) -> Self {
        Self { connections_per_address: most, ..self }
    }

    /// With files in a bucket handed out like this.
    #[must_use]
    pub fn with_delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// What a listener of its own offers.
    pub(crate) fn metrics_router(self) -> Router {
        routes::for_scrapers().with_state(self).layer(CatchPanicLayer::custom(error::of_panic))
    }

    /// Every route, and what each request passes through.
    pub(crate) fn router(self) -> Router {
        let timeouts = self.timeouts;
        // Requests go from the bottom to the top.
        routes::table()
            .fallback(routes::no_such_path)
            .method_not_allowed_fallback(|request: Request| async move {
                Error::from(Fault::MethodNotAllowed { method: request.method().to_string() })
            })
            .with_state(self)
            .layer(CatchPanicLayer::custom(error::of_panic))
            .layer(middleware::from_fn(move |request, next| drain::lend_body(timeouts, request, next)))
            .layer(cors())
            .layer(middleware::from_fn(trace::request))
    }
}

/// Keys travel in a header, never in a cookie: any origin may ask, it can only use what its user gave it.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            [
                "accept-ranges",
                "content-disposition",
                "content-range",
                "etag",
                "location",
                "retry-after",
                "x-api-version",
                "x-ratelimit-request-limit",
                "x-ratelimit-request-remaining",
                "x-ratelimit-request-reset",
                "x-ratelimit-request-used",
                "x-request-id",
            ]
            .map(HeaderName::from_static),
        )
        .max_age(std::time::Duration::from_secs(86_400))
}
