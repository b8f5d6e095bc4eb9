package audit

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// Bounds on what clients and plugins can put into an event, in bytes of UTF-8 unless stated otherwise. What is longer is cut
// and ends in a marker that tells its full length.
const (
	MaxURIBytes        = 8 << 10
	MaxUserAgentBytes  = 1 << 10
	MaxNameBytes       = 1 << 10   // user, group, verb, object names, and keys and values of a user's extra
	MaxMessageBytes    = 4 << 10   // of a responseStatus
	MaxAnnotationBytes = 4 << 10   // of one value; keys are bounded by MaxNameBytes
	MaxAnnotations     = 64        // per event; later ones are dropped
	MaxGroups          = 512       // per user; also the values of one key of a user's extra, and those keys
	MaxUserBytes       = 128 << 10 // of the groups and the extra of one user together
	MaxSourceIPs       = 16        // the last one, which is the peer, is always kept
)

const redacted = "REDACTED"

// clamp cuts s to limit bytes at a character boundary and says so.
func clamp(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%s...[cut, %d bytes]", s[:cut], len(s))
}

// freeText is for text that came from a client or may quote one: credentials are taken out and its length is bounded.
func freeText(s string, limit int) string { return clamp(withoutTokens(clamp(s, 4*limit)), limit) }

// withoutTokens replaces what looks like a JSON Web Token ("eyJ" and the rest of the word) and what follows "Bearer" or
// "Basic". It is the second line of defence: the server does not put credentials into text.
func withoutTokens(s string) string {
	if !strings.Contains(s, "eyJ") && !strings.Contains(s, "earer ") && !strings.Contains(s, "asic ") &&
		!strings.Contains(s, "EARER ") && !strings.Contains(s, "ASIC ") {
		return s
	}
	var b strings.Builder
	after := false // the word before was Bearer or Basic
	for len(s) > 0 {
		n := strings.IndexFunc(s, func(r rune) bool { return !tokenRune(r) })
		if n < 0 {
			n = len(s)
		}
		word := s[:n]
		switch at := strings.Index(word, "eyJ"); {
		case after && word != "":
			b.WriteString(redacted)
		case at >= 0 && len(word)-at >= 16:
			b.WriteString(word[:at] + redacted)
		default:
			b.WriteString(word)
		}
		if word != "" {
			after = hasSuffixFold(word, "bearer") || hasSuffixFold(word, "basic")
		}
		_, size := utf8.DecodeRuneInString(s[n:])
		b.WriteString(s[n : n+size])
		after = after && n < len(s) && s[n] == ' '
		s = s[n+size:]
	}
	return b.String()
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// tokenRune reports whether r can be part of a bearer token (RFC 6750, section 2.1).
func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/=", r)
}

// redactURI returns the request URI without user information, without the values of query parameters that are
// secret by their name, and without the command of an exec.
func redactURI(uri string) string {
	if len(uri) > 4*MaxURIBytes {
		uri = clamp(uri, 4*MaxURIBytes)
	}
	path, query, found := strings.Cut(uri, "?")
	if scheme, rest, ok := strings.Cut(path, "://"); ok {
		authority, tail, slash := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			path = scheme + "://" + redacted + authority[at:]
			if slash {
				path += "/" + tail
			}
		}
	}
	if found {
		path += "?" + redactQuery(query)
	}
	return clamp(withoutTokens(path), MaxURIBytes)
}

// redactQuery leaves everything as sent except the secret values. A semicolon separates too: who reads it
// otherwise would see a parameter that was not looked at here.
func redactQuery(query string) string {
	if !strings.ContainsAny(query, "=") {
		return query
	}
	var b strings.Builder
	for {
		end := strings.IndexAny(query, "&;")
		pair := query
		if end >= 0 {
			pair = query[:end]
		}
		if name, _, ok := strings.Cut(pair, "="); ok && secretParameter(name) {
			b.WriteString(name + "=" + redacted)
		} else {
			b.WriteString(pair)
		}
		if end < 0 {
			return b.String()
		}
		b.WriteByte(query[end])
		query = query[end+1:]
	}
}

// secretParameter decides by the decoded name, letters and digits only. A name that cannot be decoded is taken for secret.
func secretParameter(name string) bool {
	decoded, err := url.QueryUnescape(name)
	if err != nil {
		return true
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, decoded)
	switch plain {
	case "command", "key", "pwd", "sig", "code", "auth":
		return true
	}
	for _, part := range []string{
		"token", "secret", "passw", "passphrase", "apikey", "authorization", "bearer", "credential", "signature", "jwt", "privatekey", "accesskey",
	} {
		if strings.Contains(plain, part) {
			return true
		}
	}
	return false
}

// sensitive reports whether the bodies of a request hold credentials, so that they are never recorded.
func sensitive(info api.RequestInfo) bool {
	if !info.IsResource {
		return false
	}
	switch {
	case info.Group == "" && info.Resource == "secrets",
		info.Group == "" && info.Resource == "serviceaccounts" && info.Subresource == "token",
		info.Group == "authentication.k8s.io" && info.Resource == "tokenreviews":
		return true
	}
	return false
}

// precedes reports whether the record of a request has to be durable before it is executed: everything that can
// change something, and the subresources that open a way into a pod or node although their verb may be get.
func precedes(info api.RequestInfo) bool {
	switch info.Subresource {
	case "exec", "attach", "portforward", "proxy":
		return true
	}
	return !info.IsReadOnly()
}

// statusForLog bounds the texts of a status. Where they may quote a body that holds credentials, messages that are not fixed are
// left out.
func statusForLog(code int, s *metav1.Status, secret bool) *metav1.Status {
	c := *s
	c.Code = int32(code)
	if secret && !fixedMessage(code) {
		c.Message = redacted
		if c.Details != nil {
			c.Details = &metav1.StatusDetails{
				Name: clamp(c.Details.Name, MaxNameBytes), Group: c.Details.Group, Kind: c.Details.Kind, UID: c.Details.UID,
				RetryAfterSeconds: c.Details.RetryAfterSeconds,
			}
		}
		return &c
	}
	c.Message = freeText(c.Message, MaxMessageBytes)
	if c.Details != nil {
		c.Details = detailsForLog(*c.Details)
	}
	return &c
}

// fixedMessage reports whether answers with this code say only what is in the path of the request.
func fixedMessage(code int) bool {
	switch code {
	case 401, 404, 405, 409, 410, 413, 415, 429, 503, 504:
		return true
	}
	return code < 400
}

const maxCauses = 32

func detailsForLog(d metav1.StatusDetails) *metav1.StatusDetails {
	d.Name = clamp(d.Name, MaxNameBytes)
	causes := d.Causes
	if len(causes) > maxCauses {
		causes = causes[:maxCauses]
	}
	d.Causes = nil
	for _, c := range causes {
		c.Message = freeText(c.Message, MaxMessageBytes)
		c.Field = clamp(c.Field, MaxNameBytes)
		d.Causes = append(d.Causes, c)
	}
	return &d
}

// userForLog bounds a user. Tokens are kept out by authentication, which puts names of credentials into extra, never
// credentials.
func userForLog(u api.User) UserInfo {
	room := MaxUserBytes
	info := UserInfo{Username: clamp(u.Name, MaxNameBytes), UID: clamp(u.UID, MaxNameBytes), Groups: clampAll(u.Groups, &room)}
	if len(u.Extra) == 0 {
		return info
	}
	info.Extra = make(map[string][]string, min(len(u.Extra), MaxGroups))
	var few [8]string
	for i, k := range sortedKeys(u.Extra, few[:0]) {
		if i == MaxGroups || room <= 0 {
			break
		}
		room -= min(len(k), MaxNameBytes)
		info.Extra[clamp(k, MaxNameBytes)] = clampAll(u.Extra[k], &room)
	}
	return info
}

// clampAll takes what it returns from room. It returns values itself where nothing has to be cut, which is nearly always.
func clampAll(values []string, room *int) []string {
	total, longest := 0, 0
	for _, v := range values {
		total += len(v)
		longest = max(longest, len(v))
	}
	if len(values) <= MaxGroups && longest <= MaxNameBytes && total <= *room {
		*room -= total
		return values
	}
	var cut []string
	for i, v := range values {
		v = clamp(v, MaxNameBytes)
		if *room -= len(v); i == MaxGroups || *room < 0 {
			return append(cut, fmt.Sprintf("...[cut, %d entries]", len(values)))
		}
		cut = append(cut, v)
	}
	return cut
}

func sourcesForLog(ips []string) []string {
	if len(ips) > MaxSourceIPs {
		ips = append(append([]string(nil), ips[:MaxSourceIPs-1]...), ips[len(ips)-1])
	}
	room := MaxSourceIPs * MaxNameBytes
	return clampAll(ips, &room)
}
