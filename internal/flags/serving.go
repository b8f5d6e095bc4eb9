package flags

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Bounds of kube-apiserver, and ours where it has none.
const (
	maxGoAwayChance  = 0.02
	maxShutdownDelay = time.Hour
	maxMinRequest    = 24 * time.Hour

	defaultMinRequest = 30 * time.Minute
)

// Transport says how connections are kept, and what browsers and load balancers are told. The zero value is kube-apiserver's default but
// for MinRequestTimeout.
type Transport struct {
	// DisableHTTP2 serves HTTP/1.1 only.
	DisableHTTP2 bool
	// CurvePreferences are the key exchanges of TLS, by IANA number or as Go names them. Empty means Go's.
	CurvePreferences []tls.CurveID
	// NamedCertificates are shown to clients that ask for one of their names.
	NamedCertificates []NamedCertificate
	// AllowedOrigins are regular expressions for the origins whose pages may use the API in a browser (CORS). Empty means none.
	AllowedOrigins []string
	// StrictTransportSecurity are the directives of that header (RFC 6797). Empty means no header.
	StrictTransportSecurity []string
	// GoAwayChance is the part of requests, up to 0.02, after which the client is asked to connect anew, which spreads clients over servers.
	GoAwayChance float64
	// MinRequestTimeout is how long a watch lives at least that does not say; the time is spread up to twice that.
	MinRequestTimeout time.Duration
	// ShutdownDelay is how long everything is still served after a signal while /readyz fails.
	ShutdownDelay time.Duration
	// ShutdownSendRetryAfter answers new requests during the drain with 429 and Retry-After, once ShutdownDelay has passed.
	ShutdownSendRetryAfter bool
	// ShutdownWatchGrace is how long watches go on after ShutdownDelay, being ended one after the other. Zero ends them at once.
	ShutdownWatchGrace time.Duration
}

// NamedCertificate is a serving certificate with the names that it is for.
type NamedCertificate struct {
	CertFile, KeyFile string
	// Names are host names or *.domain. Empty means those in the certificate.
	Names []string
}

func registerTransport(fs *pflag.FlagSet, t *Transport) {
	t.MinRequestTimeout = defaultMinRequest
	fs.BoolVar(&t.DisableHTTP2, "disable-http2-serving", false, "serve HTTP/1.1 only")
	fs.Var(parsed[[]tls.CurveID]{&t.CurvePreferences, parseCurves, formatCurves, "curves"}, "tls-curve-preferences",
		"key exchanges of TLS, by number or name, such as X25519MLKEM768,X25519 (default those of Go)")
	fs.Var(&namedCertificates{&t.NamedCertificates}, "tls-sni-cert-key",
		"further serving certificate and its key, with the names it is for: cert,key or cert,key:*.example.com,example.com; may be repeated")
	fs.StringSliceVar(&t.AllowedOrigins, "cors-allowed-origins", nil,
		"regular expressions, pinned as ^https://example\\.com$ is, for origins whose pages may use the API in a browser")
	fs.StringSliceVar(&t.StrictTransportSecurity, "strict-transport-security-directives", nil,
		"directives of the header Strict-Transport-Security, such as max-age=31536000,includeSubDomains")
	fs.Float64Var(&t.GoAwayChance, "goaway-chance", 0, "part of requests, up to 0.02, after which a client is asked to connect anew")
	fs.Var(parsed[time.Duration]{&t.MinRequestTimeout, parseSeconds, formatSeconds, "seconds"}, "min-request-timeout",
		"seconds that a watch lives at least that does not say; spread up to twice that")
	fs.DurationVar(&t.ShutdownDelay, "shutdown-delay-duration", 0, "how long everything is still served after a signal, while /readyz fails")
	fs.BoolVar(&t.ShutdownSendRetryAfter, "shutdown-send-retry-after", false,
		"answer new requests with 429 and Retry-After while requests under way are waited for")
	fs.DurationVar(&t.ShutdownWatchGrace, "shutdown-watch-termination-grace-period", 0,
		"how long watches are given to end when the server stops; they are ended one after the other")
}

func (o *Options) validateTransport(f *faults) {
	t := &o.Transport
	few(f, "cors-allowed-origins", t.AllowedOrigins)
	for _, origin := range t.AllowedOrigins {
		if _, err := regexp.Compile(origin); err != nil {
			f.add("cors-allowed-origins", "=%s: no regular expression: %w", origin, reason(err))
		} else if !containsAny(origin, "^", "//") || !containsAny(origin, "$", ":") {
			f.add("cors-allowed-origins", "=%s: it could match a part of a host name: pin it with ^ or // and with $ or :", origin)
		}
	}
	for _, directive := range t.StrictTransportSecurity {
		if !isHSTSDirective(directive) {
			f.add("strict-transport-security-directives", "=%s: want max-age=SECONDS, includeSubDomains or preload", directive)
		}
	}
	if !(t.GoAwayChance >= 0 && t.GoAwayChance <= maxGoAwayChance) {
		f.add("goaway-chance", "=%v: want 0 to %v", t.GoAwayChance, maxGoAwayChance)
	}
	during(f, "min-request-timeout", t.MinRequestTimeout, time.Second, maxMinRequest)
	during(f, "shutdown-delay-duration", t.ShutdownDelay, 0, maxShutdownDelay)
	during(f, "shutdown-watch-termination-grace-period", t.ShutdownWatchGrace, 0, maxShutdownDelay)
	if len(t.NamedCertificates) > maxListed {
		f.add("tls-sni-cert-key", ": %d certificates, the limit is %d", len(t.NamedCertificates), maxListed)
	}
	for _, c := range t.NamedCertificates {
		for _, name := range c.Names {
			if len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
				f.add("tls-sni-cert-key", "=%s: %q is no host name", c.CertFile, name)
			}
		}
	}
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// isHSTSDirective tells the directives of RFC 6797, section 6.1, and the one that browsers' preload lists ask for.
func isHSTSDirective(d string) bool {
	seconds, isAge := strings.CutPrefix(d, "max-age=")
	if isAge {
		return seconds != "" && strings.Trim(seconds, "0123456789") == ""
	}
	return d == "includeSubDomains" || d == "preload"
}

func parseSeconds(text string) (time.Duration, error) {
	var n int64
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || fmt.Sprint(n) != text || n < 0 || n > int64(maxMinRequest/time.Second) {
		return 0, errors.New("want a number of seconds")
	}
	return time.Duration(n) * time.Second, nil
}

func formatSeconds(d time.Duration) string { return fmt.Sprint(int64(d / time.Second)) }

// curves are the key exchanges that Go knows.
func curves() []tls.CurveID {
	return []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
}

func parseCurves(text string) ([]tls.CurveID, error) {
	var ids []tls.CurveID
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		i := slices.IndexFunc(curves(), func(c tls.CurveID) bool { return c.String() == part || fmt.Sprint(uint16(c)) == part })
		if i < 0 {
			return nil, fmt.Errorf("%q is no key exchange: want one of %s, by name or number", part, formatCurves(curves()))
		}
		ids = append(ids, curves()[i])
	}
	return ids, nil
}

func formatCurves(ids []tls.CurveID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	return strings.Join(names, ",")
}

// namedCertificates is the value of a flag that may be repeated.
type namedCertificates struct{ list *[]NamedCertificate }

// Set adds one certificate.
func (n *namedCertificates) Set(text string) error {
	files, names, _ := strings.Cut(text, ":")
	cert, key, found := strings.Cut(files, ",")
	if !found || cert == "" || key == "" || strings.Contains(key, ",") {
		return errors.New("want cert,key or cert,key:name,name")
	}
	c := NamedCertificate{CertFile: cert, KeyFile: key}
	if names != "" {
		c.Names = strings.Split(names, ",")
	}
	*n.list = append(*n.list, c)
	return nil
}

// String lists the files and names.
func (n *namedCertificates) String() string {
	if n.list == nil {
		return ""
	}
	texts := make([]string, len(*n.list))
	for i, c := range *n.list {
		texts[i] = c.CertFile + "," + c.KeyFile
		if len(c.Names) > 0 {
			texts[i] += ":" + strings.Join(c.Names, ",")
		}
	}
	return strings.Join(texts, ";")
}

// Type is what the help text shows for the value.
func (n *namedCertificates) Type() string { return "cert,key" }
