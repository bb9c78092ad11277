//! Requests and responses as bytes. Every response ends its connection.

/// How long the head of a request may be, in bytes.
pub(super) const LONGEST_HEAD: usize = 8 * 1024;

/// How many header fields a request may have.
const MOST_HEADERS: usize = 64;

/// A request, as far as the server looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The path, without a query.
    pub(super) path: String,
    /// The body is left out of the response.
    pub(super) is_head: bool,
}

/// The status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    InternalError,
    Unavailable,
}

/// Reads a request; `None`: its head is not complete yet. An error is the status of the response.
pub(super) fn request(bytes: &[u8]) -> Result<Option<Request>, Code> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Code::HeadTooLarge);
        }
        Err(_) => return Err(Code::BadRequest),
    }
    let is_head = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Code::MethodNotAllowed),
    };
    let target = parsed.path.unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Some(Request { path, is_head }))
}

/// A response with a text.
pub(super) fn response(code: Code, text: &str, is_head: bool) -> Vec<u8> {
    let line = match code {
        Code::Ok => "200 OK",
        Code::BadRequest => "400 Bad Request",
        Code::NotFound => "404 Not Found",
        Code::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD",
        Code::HeadTooLarge => "431 Request Header Fields Too Large",
        Code::InternalError => "500 Internal Server Error",
        Code::Unavailable => "503 Service Unavailable",
    };
    let length = text.len();
    let body = if is_head { "" } else { text };
    // The version is that of Prometheus' text format.
    format!(
        "HTTP/1.1 {line}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_empty_line() {
        let whole = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(request(&whole[..end]), Ok(None), "{end}");
        }
        let expected = Request {
            path: "/metrics".to_owned(),
            is_head: false,
        };
        assert_eq!(request(whole), Ok(Some(expected)));
        let head = request(b"HEAD / HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert!(head.is_head);
    }

    #[test]
    fn what_is_no_request_of_ours_has_its_status() {
        let post = b"POST / HTTP/1.1\r\n\r\n";
        assert_eq!(request(post), Err(Code::MethodNotAllowed));
        assert_eq!(request(b"AMQP\0\0\x09\x01"), Err(Code::BadRequest));
        let long = [b"GET /".as_slice(), &[b'a'; LONGEST_HEAD]].concat();
        assert_eq!(request(&long), Err(Code::HeadTooLarge));
        let fields = "a: b\r\n".repeat(MOST_HEADERS + 1);
        let many = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(request(many.as_bytes()), Err(Code::HeadTooLarge));
    }

    #[test]
    fn a_response_says_how_long_it_is_and_that_it_is_the_last() {
        let text = String::from_utf8(response(Code::Ok, "ok\n", false)).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(text.ends_with("Content-Length: 3\r\nConnection: close\r\n\r\nok\n"));
        let head = String::from_utf8(response(Code::Unavailable, "why\n", true)).unwrap();
        assert!(head.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\n"));
    }
}
