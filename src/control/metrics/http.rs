//! As much of HTTP/1.1 as a scrape needs: the head of a request, and a response that ends with its
//! connection.

/// The longest head of a request.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 10;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The metrics, or only what would come before them.
    Metrics {
        /// Whether they are to be sent themselves.
        has_body: bool,
    },
    /// Whether anybody is there.
    Health {
        /// As above.
        has_body: bool,
    },
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    /// It is no request.
    Malformed,
    /// There is nothing of that name.
    Unknown,
    /// Nothing can be done with it but to get it.
    Method,
    /// Its head is too long.
    TooLarge,
    /// It is our own fault.
    Failed,
}

impl Status {
    fn code(self) -> u16 {
        match self {
            Status::Ok => 200,
            Status::Malformed => 400,
            Status::Unknown => 404,
            Status::Method => 405,
            Status::TooLarge => 431,
            Status::Failed => 500,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Malformed => "Bad Request",
            Status::Unknown => "Not Found",
            Status::Method => "Method Not Allowed",
            Status::TooLarge => "Request Header Fields Too Large",
            Status::Failed => "Internal Server Error",
        }
    }
}

/// What the request asks for whose head begins `bytes`; none where the head has not ended. What its
/// other lines say makes no difference here.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Asked>, Status> {
    // What is no request is told from its first bytes, and not only where a head would end.
    let is_begun = |byte: &u8| byte.is_ascii_uppercase();
    let word = bytes.iter().take_while(|byte| is_begun(byte)).count();
    if word > 16
        || bytes
            .get(word)
            .is_some_and(|next| word == 0 || *next != b' ')
    {
        return Err(Status::Malformed);
    }
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let line = bytes[..end].split(|byte| *byte == b'\r').next();
    let line = line.and_then(|line| str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Status::Malformed);
    };
    if !["HTTP/1.1", "HTTP/1.0"].contains(&version) {
        return Err(Status::Malformed);
    }
    let has_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return Err(Status::Method),
    };
    let path = target.split('?').next().unwrap_or_default();
    match path {
        "/metrics" => Ok(Some(Asked::Metrics { has_body })),
        "/healthz" => Ok(Some(Asked::Health { has_body })),
        _ => Err(Status::Unknown),
    }
}

/// A whole response; its connection ends with it.
pub(super) fn response(status: Status, kind: &str, body: &str, has_body: bool) -> Vec<u8> {
    let (code, words) = (status.code(), status.words());
    let allowed = match status {
        Status::Method => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let length = body.len();
    let mut response = format!(
        "HTTP/1.1 {code} {words}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         {allowed}Connection: close\r\n\r\n"
    );
    if has_body {
        response.push_str(body);
    }
    response.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_seen_when_its_head_has_ended() {
        let request = b"GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n";
        for end in 0..request.len() {
            assert_eq!(head(&request[..end]), Ok(None), "{end}");
        }
        let metrics = |has_body| Ok(Some(Asked::Metrics { has_body }));
        assert_eq!(head(request), metrics(true));
        for (request, expected) in [
            (&b"HEAD /metrics?x=y HTTP/1.0\r\n\r\n"[..], metrics(false)),
            (
                b"GET /healthz HTTP/1.1\r\n\r\nmore",
                Ok(Some(Asked::Health { has_body: true })),
            ),
            (b"GET / HTTP/1.1\r\n\r\n", Err(Status::Unknown)),
            (b"POST /metrics HTTP/1.1\r\n\r\n", Err(Status::Method)),
            (b"GET /metrics HTTP/2\r\n\r\n", Err(Status::Malformed)),
            (b"GET /metrics\r\n\r\n", Err(Status::Malformed)),
            (b"GET  /metrics HTTP/1.1\r\n\r\n", Err(Status::Malformed)),
            (b"GET /\xff HTTP/1.1\r\n\r\n", Err(Status::Malformed)),
            (b"\x16\x03\x01", Err(Status::Malformed)),
            (b"get", Err(Status::Malformed)),
            (b"GET\r\n", Err(Status::Malformed)),
            (b"AAAAAAAAAAAAAAAAA", Err(Status::Malformed)),
        ] {
            assert_eq!(
                head(request),
                expected,
                "{}",
                String::from_utf8_lossy(request)
            );
        }
    }

    #[test]
    fn a_response_states_its_length() {
        let said = String::from_utf8(response(Status::Ok, "text/plain", "four", true));
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\
                        Connection: close\r\n\r\nfour";
        assert_eq!(said.as_deref(), Ok(expected));
        let said = response(Status::Method, "text/plain", "four", false);
        let said = String::from_utf8(said).expect("a text");
        assert!(said.contains("\r\nAllow: GET, HEAD\r\n") && said.ends_with("\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let plain = head(&bytes);
            let behind = head(&[b"GET ", bytes.as_slice(), b"\r\n\r\n"].concat());
            let all = Asked::Metrics { has_body: true };
            prop_assert!(plain != Ok(Some(all)));
            prop_assert!(behind != Ok(None));
        }
    }
}
