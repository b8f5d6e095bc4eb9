package flags

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Bounds of what can be asked for. They are far above what is of use and keep arithmetic and memory in hand.
const (
	maxInflight       = 100_000
	maxRate           = 1e6
	maxBurst          = 1_000_000
	maxListed         = 64 // servers, issuers, key files, audiences
	maxRequestTimeout = time.Hour
	maxEventTTL       = 365 * 24 * time.Hour
	// kube-apiserver's bounds of --service-account-max-token-expiration.
	minMaxTokenExpiration = time.Hour
	maxMaxTokenExpiration = (1 << 32) * time.Second
	// maxRangeBits keeps a service range to 2^20 addresses, as kube-apiserver does.
	maxRangeBits = 20
)

// faults collects what is wrong, each with the flag it is about.
type faults []error

func (f *faults) add(flag, format string, args ...any) {
	*f = append(*f, fmt.Errorf("--"+flag+format, args...))
}

// Validate reports all that is wrong with the options that can be told without looking at any file.
func (o *Options) Validate() error {
	var f faults
	if o.Profile != Hardened && o.Profile != Compatible {
		f.add("profile", "=%s: want %s or %s", o.Profile, Hardened, Compatible)
	}
	o.validateServing(&f)
	o.validateTLS(&f)
	o.validateTransport(&f)
	o.validateEtcd(&f)
	o.validateTokens(&f)
	o.validateJWKSURI(&f)
	o.validateRequestHeader(&f)
	o.validateTokenWebhook(&f)
	o.validateOIDC(&f)
	o.validateModes(&f)
	o.validateAudit(&f)
	o.validateLimits(&f)
	o.validateCluster(&f)
	o.Kubelets.validate(&f)
	switch o.Profile {
	case Hardened:
		o.validateHardened(&f)
	case Compatible:
		o.validateCompatible(&f)
	}
	return errors.Join(f...)
}

func (o *Options) validateServing(f *faults) {
	if !o.BindAddress.IsValid() {
		f.add("bind-address", ": an address is required")
	}
	if o.SecurePort < 0 || o.SecurePort > 65535 {
		f.add("secure-port", "=%d: want a port from 1 to 65535, or 0 to have a free one chosen", o.SecurePort)
	}
	if a := o.AdvertiseAddress; a.IsUnspecified() || a.IsMulticast() {
		f.add("advertise-address", "=%s: nobody can connect to that address", a)
	}
	if h := o.ExternalHostname; h != "" && len(validation.IsDNS1123Subdomain(h)) > 0 {
		if _, err := netip.ParseAddr(h); err != nil {
			f.add("external-hostname", "=%s: want a host name or an IP address", h)
		}
	}
	both(f, "tls-cert-file", o.TLSCertFile, "tls-private-key-file", o.TLSPrivateKeyFile)
	if n := o.HTTP2MaxStreamsPerConnection; n < 0 || n > 1000 {
		f.add("http2-max-streams-per-connection", "=%d: want 1 to 1000, or 0 for the default", n)
	}
}

func (o *Options) validateTLS(f *faults) {
	switch v := o.TLSMinVersion; {
	case v == 0 || v == tls.VersionTLS12 || v == tls.VersionTLS13:
	case v == tls.VersionTLS10 || v == tls.VersionTLS11:
		if o.Profile == Hardened {
			f.add("tls-min-version", "=%s: the hardened profile needs VersionTLS12 or VersionTLS13", formatTLSVersion(v))
		}
	default:
		f.add("tls-min-version", ": %#04x is no version of TLS", v)
	}
	for _, name := range o.TLSCipherSuites {
		suite, insecure := cipherSuite(name)
		switch {
		case suite == nil:
			f.add("tls-cipher-suites", "=%s: no such suite", name)
		case insecure && o.Profile == Hardened:
			f.add("tls-cipher-suites", "=%s: the hardened profile refuses this suite, it is insecure", name)
		}
	}
}

// CipherSuites are the suites for TLS 1.2 and lower, for tls.Config. Names of TLS 1.3, whose suites are not
// configurable, are left out; nil means the default.
func (o *Options) CipherSuites() []uint16 {
	var ids []uint16
	for _, name := range o.TLSCipherSuites {
		if suite, _ := cipherSuite(name); suite != nil && slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}

func cipherSuite(name string) (suite *tls.CipherSuite, insecure bool) {
	for _, s := range tls.CipherSuites() {
		if s.Name == name {
			return s, false
		}
	}
	for _, s := range tls.InsecureCipherSuites() {
		if s.Name == name {
			return s, true
		}
	}
	return nil, false
}

func (o *Options) validateEtcd(f *faults) {
	few(f, "etcd-servers", o.EtcdServers)
	secure := false
	for _, server := range o.EtcdServers {
		u, err := url.Parse(server)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "":
			f.add("etcd-servers", "=%s: want a URL such as https://127.0.0.1:2379", redacted(server))
			continue
		case u.User != nil:
			f.add("etcd-servers", "=%s: no user in the URL, use --etcd-certfile and --etcd-keyfile", u.Redacted())
		case o.Profile == Hardened && u.Scheme == "http" && !isLoopback(u.Hostname()):
			f.add("etcd-servers", "=%s: the hardened profile sends nothing over a network in clear: use https", server)
		}
		secure = secure || u.Scheme == "https"
	}
	both(f, "etcd-certfile", o.EtcdCertFile, "etcd-keyfile", o.EtcdKeyFile)
	if !secure && (o.EtcdCAFile != "" || o.EtcdCertFile != "" || o.EtcdKeyFile != "") {
		f.add("etcd-cafile", ", --etcd-certfile, --etcd-keyfile: of no use without an https URL in --etcd-servers")
	}
	if p := o.EtcdPrefix; !strings.HasPrefix(p, "/") || p == "/" || path.Clean(p) != p || len(p) > 256 {
		f.add("etcd-prefix", "=%s: want a path such as /registry", p)
	}
}

// redacted cuts what may be a password out of text that is no URL.
func redacted(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "..." + text[i:]
	}
	return text
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (o *Options) validateTokens(f *faults) {
	few(f, "service-account-issuer", o.ServiceAccountIssuers)
	few(f, "service-account-key-file", o.ServiceAccountKeyFiles)
	few(f, "api-audiences", o.APIAudiences)
	for i, issuer := range o.ServiceAccountIssuers {
		switch u, err := url.Parse(issuer); {
		case issuer == "":
			f.add("service-account-issuer", ": it is empty")
		case strings.Contains(issuer, ":") && (err != nil || u.Scheme == ""):
			f.add("service-account-issuer", "=%s: it has a colon and is no URL", issuer)
		case slices.Contains(o.ServiceAccountIssuers[:i], issuer):
			f.add("service-account-issuer", "=%s: given twice", issuer)
		}
	}
	if slices.Contains(o.APIAudiences, "") {
		f.add("api-audiences", ": one is empty")
	}
	if d := o.ServiceAccountMaxTokenExpiration; d != 0 && (d < minMaxTokenExpiration || d > maxMaxTokenExpiration) {
		f.add("service-account-max-token-expiration", "=%v: want 1h to 2^32 seconds, or 0 for no limit", d)
	}
	if len(o.ServiceAccountKeyFiles) > 0 && o.ServiceAccountSigningKeyFile == "" {
		f.add("service-account-key-file", ": --service-account-signing-key-file is required with it")
	}
}

func (o *Options) validateAudit(f *faults) {
	between(f, "audit-log-maxsize", o.AuditLogMaxSize, 0, 1<<20)
	between(f, "audit-log-maxbackup", o.AuditLogMaxBackup, 0, 1<<20)
	between(f, "audit-log-maxage", o.AuditLogMaxAge, 0, 100*366)
	if o.AuditPolicyFile != "" && o.AuditLogPath == "" {
		f.add("audit-policy-file", "=%s: of no use without --audit-log-path", o.AuditPolicyFile)
	}
}

func (o *Options) validateLimits(f *faults) {
	between(f, "max-requests-inflight", o.MaxRequestsInflight, 0, maxInflight)
	between(f, "max-mutating-requests-inflight", o.MaxMutatingRequestsInflight, 0, maxInflight)
	if o.MaxRequestsInflight == 0 && o.MaxMutatingRequestsInflight == 0 {
		f.add("max-requests-inflight", " and --max-mutating-requests-inflight are both 0: no request could be served")
	}
	for _, limit := range []struct {
		name  string
		rate  float64
		burst int
	}{{"peer", o.PeerRateLimit, o.PeerRateBurst}, {"client", o.ClientRateLimit, o.ClientRateBurst}} {
		if !(limit.rate >= 0 && limit.rate <= maxRate) { // not a number fails too
			f.add(limit.name+"-rate-limit", "=%v: want 0 for no limit, or up to %d a second", limit.rate, int(maxRate))
		}
		if limit.rate > 0 {
			between(f, limit.name+"-rate-burst", limit.burst, 1, maxBurst)
		}
	}
	during(f, "request-timeout", o.RequestTimeout, time.Second, maxRequestTimeout)
}

const maxPortNumber = 65535

func (o *Options) validateCluster(f *faults) {
	const flag = "service-cluster-ip-range"
	ranges := o.ServiceClusterIPRanges
	switch {
	case len(ranges) == 0 || len(ranges) > 2:
		f.add(flag, ": want one range, or one of each address family")
	case len(ranges) == 2 && ranges[0].Addr().Is4() == ranges[1].Addr().Is4():
		f.add(flag, "=%s: both are of one address family", formatPrefixes(ranges))
	}
	for _, r := range ranges {
		if bits := r.Addr().BitLen() - r.Bits(); bits < 2 || bits > maxRangeBits {
			f.add(flag, "=%s: want a range of 4 to %d addresses", r, 1<<maxRangeBits)
		}
	}
	if ports := o.ServiceNodePorts; ports.Size < 1 || ports.Base < 1 || ports.Base+ports.Size-1 > maxPortNumber {
		f.add("service-node-port-range", "=%s: want a range of ports from 1 to %d", ports, maxPortNumber)
	}
	if n := o.KubernetesServiceNodePort; n != 0 && !o.ServiceNodePorts.Contains(n) {
		f.add("kubernetes-service-node-port", "=%d: want a port of --service-node-port-range, or 0 for none", n)
	}
	if r := o.EndpointReconciler; r != ReconcilerLease && r != ReconcilerNone {
		f.add("endpoint-reconciler-type", "=%s: want %s or %s", r, ReconcilerLease, ReconcilerNone)
	}
	during(f, "event-ttl", o.EventTTL, time.Second, maxEventTTL)
	if o.EtcdCompactionInterval != 0 {
		during(f, "etcd-compaction-interval", o.EtcdCompactionInterval, time.Second, maxEventTTL)
	}
	between(f, "v", o.Verbosity, 0, 10)
	if o.LoggingFormat != "text" && o.LoggingFormat != "json" {
		f.add("logging-format", "=%s: want text or json", o.LoggingFormat)
	}
}

func (o *Options) validateHardened(f *faults) {
	if o.DataDir == "" {
		f.add("data-dir", ": the hardened profile needs one")
	}
	if o.AuditLogPath == "" {
		f.add("audit-log-path", ": the hardened profile does not serve without an audit log")
	}
	if o.allowsAlways() {
		f.add("authorization-mode", "=%s: the hardened profile refuses it", AlwaysAllow)
	}
}

func (o *Options) validateCompatible(f *faults) {
	if len(o.EtcdServers) == 0 && o.DataDir == "" {
		f.add("etcd-servers", ": required, or --data-dir for the embedded etcd")
	}
	if o.DataDir != "" {
		return // which provides what is missing below
	}
	if o.CertDir == "" && o.TLSCertFile == "" {
		f.add("cert-dir", ": required without --tls-cert-file")
	}
	if len(o.ServiceAccountIssuers) == 0 {
		f.add("service-account-issuer", ": required without --data-dir")
	}
	if o.ServiceAccountSigningKeyFile == "" {
		f.add("service-account-signing-key-file", ": required without --data-dir")
	}
}

func both(f *faults, flag, value, otherFlag, other string) {
	if (value == "") != (other == "") {
		f.add(flag, " and --%s: give both or neither", otherFlag)
	}
}

func few(f *faults, flag string, values []string) {
	if len(values) > maxListed {
		f.add(flag, ": %d values, the limit is %d", len(values), maxListed)
	}
}

func between(f *faults, flag string, value, low, high int) {
	if value < low || value > high {
		f.add(flag, "=%d: want %d to %d", value, low, high)
	}
}

func during(f *faults, flag string, value, low, high time.Duration) {
	if value < low || value > high {
		f.add(flag, "=%v: want %v to %v", value, low, high)
	}
}
