//! A server that does nothing but watch, by a script: what a real one does only when it is in trouble.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::{StreamExt as _, future::BoxFuture, stream, stream::BoxStream};
use prost::Message;
use proto::v1;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    codegen::{Service, http},
    server::{Grpc, NamedService, ServerStreamingService},
    transport::server::TcpIncoming,
};
use tonic_prost::ProstCodec;

/// What is sent to whoever asks, and how the stream ends; `None`: never.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) order: Vec<v1::WatchOrderResponse>,
    pub(crate) orders: Vec<v1::WatchOrdersResponse>,
    pub(crate) end: Option<Status>,
}

/// Serves the script as long as the test runs and says where.
pub(crate) async fn serve(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(script);
    // The runtime of the test ends it.
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    format!("http://{address}")
}

impl NamedService for Script {
    const NAME: &'static str = "orderledger.v1.OrderLedger";
}

impl Service<http::Request<tonic::body::Body>> for Script {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let Self { order, orders, end } = self.clone();
        Box::pin(async move {
            Ok(if request.uri().path().ends_with("/WatchOrders") {
                let codec = ProstCodec::<_, v1::WatchOrdersRequest>::default();
                Grpc::new(codec).server_streaming(Sends(orders, end), request).await
            } else {
                let codec = ProstCodec::<_, v1::WatchOrderRequest>::default();
                Grpc::new(codec).server_streaming(Sends(order, end), request).await
            })
        })
    }
}

struct Sends<M>(Vec<M>, Option<Status>);

impl<Q: Message, M: Message + 'static> ServerStreamingService<Q> for Sends<M> {
    type Response = M;
    type ResponseStream = BoxStream<'static, Result<M, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<Q>) -> Self::Future {
        let Self(messages, end) = self;
        let messages = stream::iter(std::mem::take(messages).into_iter().map(Ok));
        let end = match end.take() {
            Some(status) => stream::iter([Err(status)]).boxed(),
            None => stream::pending().boxed(),
        };
        Box::pin(async move { Ok(Response::new(messages.chain(end).boxed())) })
    }
}
