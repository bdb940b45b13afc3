//! The paths of the site.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Multipart, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum_extra::extract::SignedCookieJar;
use axum_extra::extract::cookie::Key;
use jobkeep::Receipt;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::page::{Photo, Size};
use crate::photo::Refused;
use crate::session::Session;
use crate::thumbnails::{Seen, Thumbnail, Thumbnails};
use crate::{page, photo};

/// Photos that are received at once: each is in memory meanwhile, and again as what the hosts are sent.
const UPLOADS: usize = 8;

/// So long may one take.
const UPLOAD: Duration = Duration::from_secs(60);

/// So long a page that waits for thumbnails is kept from asking again.
const PEEK: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Site {
    thumbnails: Arc<Thumbnails>,
    uploads: Arc<Semaphore>,
    key: Key,
}

impl FromRef<Site> for Key {
    fn from_ref(site: &Site) -> Self {
        site.key.clone()
    }
}

pub(crate) fn router(thumbnails: Thumbnails, key: Key) -> Router {
    let site = Site {
        thumbnails: Arc::new(thumbnails),
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        key,
    };
    let style = include_str!("style.css");
    let script = include_str!("page.js");
    Router::new()
        .route("/", get(front))
        .route("/photos", get(photos).post(upload))
        .route("/thumbnails/{receipt}", get(thumbnail))
        .route(
            "/style.css",
            get(([(header::CONTENT_TYPE, "text/css")], style)),
        )
        .route(
            "/page.js",
            get(([(header::CONTENT_TYPE, "text/javascript")], script)),
        )
        .layer(DefaultBodyLimit::max(photo::READ))
        .layer(map_response(guarded))
        .with_state(site)
}

/// The page, as the visitor's browser shows it at first.
async fn front(State(site): State<Site>, jar: SignedCookieJar) -> Response {
    let shown = look(&site, Session::of(&jar)).await;
    page::whole(&shown, None).into_response()
}

/// The visitor's photos, for the page's script: when one more thumbnail is there, or after a while.
async fn photos(State(site): State<Site>, jar: SignedCookieJar) -> Response {
    let session = Session::of(&jar);
    page::photos(&peek(&site, session).await).into_response()
}

async fn upload(
    State(site): State<Site>,
    jar: SignedCookieJar,
    headers: HeaderMap,
    form: Multipart,
) -> Response {
    let mut session = Session::of(&jar);
    // Another site's form must not put photos among the visitor's.
    let from = headers.get(HeaderName::from_static("sec-fetch-site"));
    if from.is_some_and(|from| from != "same-origin" && from != "none") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Ok(_permit) = site.uploads.try_acquire() else {
        let busy = "Many are sending photos just now: try again in a moment.";
        return told(&site, session, StatusCode::SERVICE_UNAVAILABLE, busy).await;
    };
    // Nobody keeps the others waiting for longer.
    let received = timeout(UPLOAD, photo::receive(form)).await;
    let photo = match received.unwrap_or(Err(Refused::TooSlow)) {
        Ok(photo) => photo,
        Err(refused) => return told(&site, session, refused.status(), &refused.to_string()).await,
    };
    let thumbnails = Arc::clone(&site.thumbnails);
    let Ok((receipts, created)) = spawn_blocking(move || thumbnails.create(&photo)).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if !receipts.is_empty() {
        session.add(receipts);
    }
    let jar = session.kept(jar);
    match created {
        Ok(()) => (jar, Redirect::to("/")).into_response(),
        Err(error) => {
            eprintln!("cloud: {error}");
            let sorry = "Not every size of this photo could be asked for: try again in a moment.";
            let page = told(&site, session, StatusCode::SERVICE_UNAVAILABLE, sorry).await;
            (jar, page).into_response()
        }
    }
}

/// One finished thumbnail of the visitor's.
async fn thumbnail(
    State(site): State<Site>,
    jar: SignedCookieJar,
    Path(text): Path<String>,
) -> Response {
    let session = Session::of(&jar);
    let Some(receipt) = session.receipt(&text).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let thumbnails = site.thumbnails;
    let seen = spawn_blocking(move || thumbnails.look(&receipt)).await;
    let Ok(Seen::Done(picture)) = seen else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Some(jpeg) = picture.jpeg() else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    // A finished job stays as it is.
    let kept = "private, max-age=86400, immutable";
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CACHE_CONTROL, kept),
    ];
    (headers, jpeg).into_response()
}

/// The page with a sentence to the visitor.
async fn told(site: &Site, session: Session, status: StatusCode, sentence: &str) -> Response {
    let shown = look(site, session).await;
    (status, page::whole(&shown, Some(sentence))).into_response()
}

/// Asks for every thumbnail, on a thread that may wait.
async fn look(site: &Site, session: Session) -> Vec<Photo> {
    let thumbnails = Arc::clone(&site.thumbnails);
    let asked = spawn_blocking(move || photos_of(&thumbnails, &session));
    asked.await.unwrap_or_default()
}

/// As `look`, but where a thumbnail is to come, waits for it a little.
async fn peek(site: &Site, session: Session) -> Vec<Photo> {
    let thumbnails = Arc::clone(&site.thumbnails);
    let asked = spawn_blocking(move || {
        let mut photos = photos_of(&thumbnails, &session);
        let sizes = photos.iter_mut().flatten();
        let mut waiting: Vec<_> = sizes
            .filter(|size| matches!(size.seen, Seen::Waits))
            .collect();
        if let Some(first) = waiting.first() {
            thumbnails.wait(&first.receipt, PEEK);
        }
        // The others stay as they are.
        for size in &mut waiting {
            size.seen = thumbnails.look(&size.receipt);
        }
        photos
    });
    asked.await.unwrap_or_default()
}

fn photos_of(thumbnails: &Thumbnails, session: &Session) -> Vec<Photo> {
    let size = |receipt: &Receipt<Thumbnail>| Size {
        receipt: receipt.clone(),
        seen: thumbnails.look(receipt),
    };
    let photos = session.photos().iter();
    photos
        .map(|photo| photo.iter().map(size).collect())
        .collect()
}

/// Nothing runs in the page but its own script, and it is not shown within another.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let policy = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; \
                  connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
