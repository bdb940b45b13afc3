//! What visitors see.

use jobkeep::Receipt;
use maud::{DOCTYPE, Markup, html};

use crate::photo::BYTES;
use crate::thumbnails::{Seen, Thumbnail, WIDTHS};

/// The sizes of one photo.
pub(crate) type Photo = Vec<Size>;

pub(crate) struct Size {
    pub(crate) receipt: Receipt<Thumbnail>,
    pub(crate) seen: Seen,
}

/// The page, with a sentence for the visitor where there is one.
pub(crate) fn whole(shown: &[Photo], sentence: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Thumbnails" }
                link rel="stylesheet" href="/style.css";
                script src="/page.js" defer {}
                @if is_waiting(shown) {
                    // Without scripts the page comes again by itself.
                    noscript { meta http-equiv="refresh" content="2; url=/"; }
                }
            }
            body {
                h1 { "Thumbnails" }
                p { "Each photo becomes three jobs, done by the hosts that a balancer chooses." }
                form method="post" action="/photos" enctype="multipart/form-data" {
                    label for="photo" { "A JPEG or PNG of up to " (BYTES >> 20) " MiB" }
                    input id="photo" type="file" name="photo" accept="image/jpeg,image/png" required;
                    button { "Upload" }
                }
                @if let Some(sentence) = sentence {
                    p id="sentence" role="alert" { (sentence) }
                }
                main id="photos" aria-live="polite" { (photos(shown)) }
            }
        }
    }
}

/// The part of the page that changes.
pub(crate) fn photos(shown: &[Photo]) -> Markup {
    html! {
        @for sizes in shown {
            section {
                @for (size, width) in sizes.iter().zip(WIDTHS) { (thumbnail(size, width)) }
            }
        }
    }
}

fn thumbnail(size: &Size, width: u32) -> Markup {
    let Size { receipt, seen } = size;
    let server = receipt.server();
    html! {
        @match seen {
            Seen::Waits => figure.waits {
                figcaption { (width) " pixels wide: " (server) " is at it" }
            },
            Seen::Away => figure.waits {
                figcaption { (width) " pixels wide: " (server) " is away, and goes on when it is back" }
            },
            Seen::Done(picture) => figure.done {
                img src={ "/thumbnails/" (receipt) } width=(picture.width) height=(picture.height)
                    alt={ "The photo, " (picture.width) " pixels wide" };
                figcaption { (picture.width) " × " (picture.height) " pixels, by " (server) }
            },
            Seen::Failed(why) => figure.failed {
                figcaption { (width) " pixels wide: " (why) }
            },
        }
    }
}

fn is_waiting(shown: &[Photo]) -> bool {
    let mut sizes = shown.iter().flatten();
    sizes.any(|size| matches!(size.seen, Seen::Waits | Seen::Away))
}
