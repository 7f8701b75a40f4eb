//! A client that reaches one scheme, host and port.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Certificate, Method, Proxy, Request, Response, Url};
use rustls::crypto::ring;

use super::Egress;
use super::guard::Guard;
use super::names::Names;
use super::refusal::Refusal;

/// Where connections are sent that must not be made. The name is reserved (RFC 6761, 6.4), and the resolver knows no other
/// name than its own anyway.
const NOWHERE: &str = "http://refused.invalid";

/// What a client is made of.
#[derive(Debug)]
pub(crate) struct ClientSettings<'a> {
    /// Whose it is, for logs and metrics.
    pub(crate) name: &'a str,
    /// Its only scheme, host and port, as they are written in the configuration.
    pub(crate) url: &'a str,
    /// Whether private addresses are permitted to it as a whole.
    pub(crate) allow_private: bool,
    /// How many redirects within its scheme, host and port it follows.
    pub(crate) redirects: u32,
    pub(crate) connect_timeout: Duration,
    /// Connections kept for later; with none, each request gets a new one.
    pub(crate) pool_idle_max: usize,
    /// Who vouches for an https server besides the public authorities.
    pub(crate) authorities: Vec<Certificate>,
}

/// A client that cannot be brought to reach anything but its own scheme, host and port.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Arc<Guard>,
    redirects: u32,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It was not allowed.
    Refused(Refusal),
    /// It did not work.
    Http(reqwest::Error),
}

impl Egress {
    /// A client for one URL's scheme, host and port. No redirect is followed and nothing repeated behind the caller's back,
    /// and no proxy of the environment is used.
    ///
    /// # Errors
    /// Why the URL cannot be reached, or the client not be built.
    pub(crate) fn client(&self, settings: ClientSettings<'_>) -> Result<Client, String> {
        let (guard, redirects) = (self.guarded(&settings)?, settings.redirects);
        let http = self.build(&guard, settings).build().map_err(|error| unusable(&error))?;
        Ok(Client { http, guard, redirects })
    }

    /// The same for a library that makes requests of its own: the connector itself refuses what leads elsewhere. It follows
    /// no redirect.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn locked(&self, settings: ClientSettings<'_>) -> Result<reqwest::Client, String> {
        let guard = self.guarded(&settings)?;
        let rule = nowhere_but(Arc::clone(&guard));
        self.build(&guard, settings).proxy(rule).build().map_err(|error| unusable(&error))
    }

    fn guarded(&self, settings: &ClientSettings<'_>) -> Result<Arc<Guard>, String> {
        let guard = self.guard(settings.name, settings.url, settings.allow_private);
        guard.map(Arc::new).map_err(|refusal| refusal.to_string())
    }

    fn build(&self, guard: &Arc<Guard>, settings: ClientSettings<'_>) -> reqwest::ClientBuilder {
        // Where somebody installed a provider already, it is this one.
        let _ = ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .dns_resolver(Names { guard: Arc::clone(guard), asked: Arc::clone(&self.names) })
            .referer(false)
            // Whether a request may have left is told by its body being asked for; HTTP/2 sends the head before that.
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(settings.connect_timeout)
            .pool_max_idle_per_host(settings.pool_idle_max)
            .user_agent(concat!("holdfast-tool-proxy/", env!("CARGO_PKG_VERSION")));
        match guard.home().scheme() {
            // No authority is needed, and a machine without any must still be able to start.
            "http" => builder.tls_certs_only([]),
            _ => builder.https_only(true).tls_certs_merge(settings.authorities),
        }
    }
}

/// The resolver is not asked where a URL names an address. But a proxy's rule is, for each new connection: what is not
/// the guarded scheme, host and port goes through a proxy that cannot be found.
fn nowhere_but(guard: Arc<Guard>) -> Proxy {
    Proxy::custom(move |url: &Url| (!guard.is_home(url)).then_some(NOWHERE))
}

impl Client {
    /// Sends a request, and follows redirects as far as they are allowed.
    ///
    /// # Errors
    /// See [`Failed`].
    pub(crate) async fn execute(&self, mut request: Request) -> Result<Response, Failed> {
        if !self.guard.is_home(request.url()) {
            let refusal = Refusal::Elsewhere(place(request.url()));
            return Err(Failed::Refused(self.guard.refused(refusal)));
        }
        for _ in 0..self.redirects {
            let again = request.try_clone();
            let (from, method) = (request.url().clone(), request.method().clone());
            let response = self.send(request).await?;
            let Some(to) = self.follow(&from, &method, &response)? else { return Ok(response) };
            let Some(next) = again else { return Ok(response) };
            request = next;
            *request.url_mut() = to;
        }
        self.send(request).await
    }

    /// Where an answer leads, if it leads anywhere: to the same scheme, host and port, so that headers and credentials go
    /// to nobody whom they are not for. A request with a body is sent again only where it stays as it is (307, 308).
    ///
    /// # Errors
    /// It leads elsewhere.
    fn follow(&self, from: &Url, method: &Method, response: &Response) -> Result<Option<Url>, Failed> {
        let unchanged = match response.status().as_u16() {
            307 | 308 => true,
            301..=303 => *method == Method::GET,
            _ => false,
        };
        let Some(location) = response.headers().get(LOCATION).filter(|_| unchanged) else { return Ok(None) };
        let refused = |place| Failed::Refused(self.guard.refused(Refusal::Redirected(place)));
        let to = location.to_str().ok().and_then(|location| from.join(location).ok());
        match to {
            Some(to) if self.guard.is_home(&to) => Ok(Some(to)),
            Some(to) => Err(refused(place(&to))),
            None => Err(refused("no URL".into())),
        }
    }

    async fn send(&self, request: Request) -> Result<Response, Failed> {
        self.http.execute(request).await.map_err(|error| match Refusal::behind(&error) {
            Some(refusal) => Failed::Refused(refusal.clone()),
            None => Failed::Http(error),
        })
    }
}

/// A URL without what may be secret in it.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn unusable(error: &reqwest::Error) -> String {
    format!("cannot be called: {}", whole(error))
}

/// An error with its causes: the first line alone says "builder error".
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
