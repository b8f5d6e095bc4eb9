package flags_test

import (
	"crypto/tls"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// valid returns options with nothing wrong.
func valid(p flags.Profile) *flags.Options {
	return &flags.Options{
		Profile: p, DataDir: "data", AuditLogPath: "audit.log",
		BindAddress: netip.MustParseAddr("127.0.0.1"), SecurePort: 6443, EtcdPrefix: "/registry",
		AuthorizationModes: []string{flags.RBAC}, MaxRequestsInflight: 1,
		RequestTimeout: time.Minute, EventTTL: time.Hour, LoggingFormat: "text",
		ServiceClusterIPRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
		ServiceNodePorts:       utilnet.PortRange{Base: 30000, Size: 2768}, EndpointReconciler: flags.ReconcilerLease,
		Transport: flags.Transport{MinRequestTimeout: time.Minute},
	}
}

func TestValidateAccepts(t *testing.T) {
	tests := []struct {
		name    string
		profile flags.Profile
		change  func(o *flags.Options)
	}{
		{"the least that is valid", flags.Hardened, func(*flags.Options) {}},
		{"a configuration in place of modes", flags.Hardened, func(o *flags.Options) { o.AuthorizationModes, o.Authorization.ConfigFile = nil, "c" }},
		{"a chosen port", flags.Hardened, func(o *flags.Options) { o.SecurePort = 0 }},
		{"etcd in clear on this machine", flags.Hardened, func(o *flags.Options) {
			o.EtcdServers = []string{"http://127.0.0.1:2379", "http://localhost:2379", "http://[::1]:2379"}
		}},
		{"etcd in clear as kube-apiserver does", flags.Compatible, func(o *flags.Options) { o.EtcdServers = []string{"http://10.0.0.1:2379"} }},
		{"both address families", flags.Hardened, func(o *flags.Options) {
			o.ServiceClusterIPRanges = append(o.ServiceClusterIPRanges, netip.MustParsePrefix("fd00::/112"))
		}},
		{"old TLS as kube-apiserver does", flags.Compatible, func(o *flags.Options) { o.TLSMinVersion = tls.VersionTLS10 }},
		{"an issuer that is no URL", flags.Hardened, func(o *flags.Options) { o.ServiceAccountIssuers = []string{"kubernetes/serviceaccount"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := valid(tt.profile)
			tt.change(o)
			if err := o.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	tests := []struct {
		name    string
		profile flags.Profile
		change  func(o *flags.Options)
		flag    string // begins the fault
		says    string
	}{
		{"the zero profile", "", nil, "profile", "want hardened or compatible"},
		{"no address", flags.Hardened, func(o *flags.Options) { o.BindAddress = netip.Addr{} }, "bind-address", "required"},
		{"a negative port", flags.Hardened, func(o *flags.Options) { o.SecurePort = -1 }, "secure-port", "1 to 65535"},
		{"an address nobody can reach is published", flags.Hardened, func(o *flags.Options) { o.AdvertiseAddress = netip.IPv4Unspecified() }, "advertise-address", "nobody can connect"},
		{"a host name with a port", flags.Hardened, func(o *flags.Options) { o.ExternalHostname = "api:6443" }, "external-hostname", "want a host name"},
		{"a certificate without its key", flags.Hardened, func(o *flags.Options) { o.TLSCertFile = "c" }, "tls-cert-file", "both or neither"},
		{"a client certificate without its key", flags.Hardened, func(o *flags.Options) {
			o.EtcdServers, o.EtcdCertFile = []string{"https://10.0.0.1:2379"}, "c"
		}, "etcd-certfile", "both or neither"},
		{"old TLS", flags.Hardened, func(o *flags.Options) { o.TLSMinVersion = tls.VersionTLS11 }, "tls-min-version", "VersionTLS12"},
		{"no TLS at all", flags.Compatible, func(o *flags.Options) { o.TLSMinVersion = 1 }, "tls-min-version", "no version"},
		{"an unknown suite", flags.Compatible, func(o *flags.Options) { o.TLSCipherSuites = []string{"ROT13"} }, "tls-cipher-suites", "no such suite"},
		{"a broken suite", flags.Hardened, func(o *flags.Options) { o.TLSCipherSuites = []string{"TLS_RSA_WITH_RC4_128_SHA"} }, "tls-cipher-suites", "insecure"},
		{"etcd without a scheme", flags.Hardened, func(o *flags.Options) { o.EtcdServers = []string{"not-a-url"} }, "etcd-servers", "not-a-url: want a URL"},
		{"secrets in clear on the network", flags.Hardened, func(o *flags.Options) { o.EtcdServers = []string{"http://10.0.0.1:2379"} }, "etcd-servers", "use https"},
		{"TLS files that protect nothing", flags.Compatible, func(o *flags.Options) {
			o.EtcdServers, o.EtcdCAFile = []string{"http://10.0.0.1:2379"}, "ca"
		}, "etcd-cafile", "without an https URL"},
		{"a prefix that is the root", flags.Hardened, func(o *flags.Options) { o.EtcdPrefix = "/" }, "etcd-prefix", "/registry"},
		{"a prefix that leaves its place", flags.Hardened, func(o *flags.Options) { o.EtcdPrefix = "/registry/../x" }, "etcd-prefix", "/registry"},
		{"an issuer that is a broken URL", flags.Hardened, func(o *flags.Options) { o.ServiceAccountIssuers = []string{"127.0.0.1:6443"} }, "service-account-issuer", "no URL"},
		{"the same issuer twice", flags.Hardened, func(o *flags.Options) { o.ServiceAccountIssuers = []string{"a", "a"} }, "service-account-issuer", "twice"},
		{"an empty audience", flags.Hardened, func(o *flags.Options) { o.APIAudiences = []string{""} }, "api-audiences", "empty"},
		{"tokens that end at once", flags.Hardened, func(o *flags.Options) { o.ServiceAccountMaxTokenExpiration = time.Minute }, "service-account-max-token-expiration", "1h"},
		{"keys that verify nothing we sign", flags.Hardened, func(o *flags.Options) { o.ServiceAccountKeyFiles = []string{"k"} }, "service-account-key-file", "signing-key-file is required"},
		{"an issuer without an audience", flags.Hardened, func(o *flags.Options) { o.OIDC.IssuerURL = "https://a" }, "oidc-issuer-url", "must be specified together"},
		{"an issuer in clear", flags.Hardened, func(o *flags.Options) {
			o.OIDC = flags.OIDC{IssuerURL: "http://a", ClientID: "b", UsernameClaim: "sub", SigningAlgs: []string{"RS256"}}
		}, "oidc-issuer-url", "must be https"},
		{"a symmetric algorithm", flags.Hardened, func(o *flags.Options) {
			o.OIDC = flags.OIDC{IssuerURL: "https://a", ClientID: "b", UsernameClaim: "sub", SigningAlgs: []string{"HS256"}}
		}, "oidc-signing-algs", "HS256"},
		{"issuers from two sides", flags.Hardened, func(o *flags.Options) {
			o.AuthenticationConfigFile = "c"
			o.OIDC = flags.OIDC{IssuerURL: "https://a", ClientID: "b", UsernameClaim: "sub", SigningAlgs: []string{"RS256"}}
		}, "authentication-config", "mutually exclusive"},
		{"an unknown version of reviews", flags.Hardened, func(o *flags.Options) {
			o.TokenWebhook = flags.TokenWebhook{ConfigFile: "c", Version: "v2"}
		}, "authentication-token-webhook-version", "unsupported authentication webhook version"},
		{"proxies by any name", flags.Hardened, func(o *flags.Options) { o.RequestHeader.ClientCAFile = "c" }, "requestheader-allowed-names", "hardened"},
		{"an empty header", flags.Compatible, func(o *flags.Options) { o.RequestHeader.UsernameHeaders = []string{" "} }, "requestheader-username-headers", "empty value"},
		{"uids in a header that nobody knows", flags.Compatible, func(o *flags.Options) { o.RequestHeader.UIDHeaders = []string{"X-Uid"} }, "requestheader-uid-headers", "X-Remote-Uid"},
		{"keys in clear", flags.Compatible, func(o *flags.Options) { o.ServiceAccountJWKSURI = "http://a/b" }, "service-account-jwks-uri", "requires https scheme"},
		{"nobody decides", flags.Hardened, func(o *flags.Options) { o.AuthorizationModes = nil }, "authorization-mode", "required"},
		{"an unknown mode", flags.Hardened, func(o *flags.Options) { o.AuthorizationModes = []string{"Frob"} }, "authorization-mode", "Frob: no such mode"},
		{"a mode twice", flags.Hardened, func(o *flags.Options) { o.AuthorizationModes = []string{"RBAC", "RBAC"} }, "authorization-mode", "twice"},
		{"modes beside a configuration", flags.Hardened, func(o *flags.Options) { o.Authorization.ConfigFile = "c" }, "authorization-mode", "authorization-config says that too"},
		{"a webhook that is nowhere", flags.Hardened, func(o *flags.Options) {
			o.AuthorizationModes, o.Authorization.WebhookVersion = []string{flags.Webhook}, "v1"
		}, "authorization-webhook-config-file", "required with --authorization-mode=Webhook"},
		{"a webhook that nobody asks", flags.Hardened, func(o *flags.Options) { o.Authorization.WebhookConfigFile = "k" }, "authorization-webhook-config-file", "of no use without --authorization-mode=Webhook"},
		{"a version that no webhook speaks", flags.Hardened, func(o *flags.Options) { o.Authorization.WebhookVersion = "v2" }, "authorization-webhook-version", "want v1 or v1beta1"},
		{"an answer of yesterday", flags.Hardened, func(o *flags.Options) { o.Authorization.WebhookAuthorizedTTL = 25 * time.Hour }, "authorization-webhook-cache-authorized-ttl", "want 0s to 24h"},
		{"an answer of tomorrow", flags.Hardened, func(o *flags.Options) { o.Authorization.WebhookUnauthorizedTTL = -1 }, "authorization-webhook-cache-unauthorized-ttl", "want 0s to 24h"},
		{"a policy that records nothing", flags.Compatible, func(o *flags.Options) { o.AuditLogPath, o.AuditPolicyFile = "", "p" }, "audit-policy-file", "without --audit-log-path"},
		{"a negative size", flags.Hardened, func(o *flags.Options) { o.AuditLogMaxSize = -1 }, "audit-log-maxsize", "want 0 to"},
		{"no request can be served", flags.Hardened, func(o *flags.Options) { o.MaxRequestsInflight = 0 }, "max-requests-inflight", "no request"},
		{"a limit that compares with nothing", flags.Hardened, func(o *flags.Options) { o.PeerRateLimit = math.NaN() }, "peer-rate-limit", "want 0"},
		{"a limit without a burst refuses everybody", flags.Hardened, func(o *flags.Options) { o.ClientRateLimit = 5 }, "client-rate-burst", "want 1"},
		{"an origin that is not pinned", flags.Compatible, func(o *flags.Options) { o.Transport.AllowedOrigins = []string{"example.com"} }, "cors-allowed-origins", "pin it"},
		{"an origin that is no pattern", flags.Compatible, func(o *flags.Options) { o.Transport.AllowedOrigins = []string{"^(https$"} }, "cors-allowed-origins", "no regular expression"},
		{"an unknown directive", flags.Compatible, func(o *flags.Options) { o.Transport.StrictTransportSecurity = []string{"max-age=x"} }, "strict-transport-security-directives", "want max-age=SECONDS"},
		{"too many goodbyes", flags.Compatible, func(o *flags.Options) { o.Transport.GoAwayChance = 0.03 }, "goaway-chance", "want 0 to 0.02"},
		{"a chance that is none", flags.Compatible, func(o *flags.Options) { o.Transport.GoAwayChance = math.NaN() }, "goaway-chance", "want 0 to 0.02"},
		{"a shutdown without end", flags.Compatible, func(o *flags.Options) { o.Transport.ShutdownDelay = 2 * time.Hour }, "shutdown-delay-duration", "want 0s to 1h0m0s"},
		{"a name that is none", flags.Compatible, func(o *flags.Options) {
			o.Transport.NamedCertificates = []flags.NamedCertificate{{CertFile: "c", KeyFile: "k", Names: []string{"a b"}}}
		}, "tls-sni-cert-key", "no host name"},
		{"no time for a request", flags.Hardened, func(o *flags.Options) { o.RequestTimeout = 0 }, "request-timeout", "want 1s"},
		{"no service addresses", flags.Hardened, func(o *flags.Options) { o.ServiceClusterIPRanges = nil }, "service-cluster-ip-range", "want one range"},
		{"two ranges of one family", flags.Hardened, func(o *flags.Options) {
			o.ServiceClusterIPRanges = append(o.ServiceClusterIPRanges, o.ServiceClusterIPRanges...)
		}, "service-cluster-ip-range", "one address family"},
		{"a range too large to keep track of", flags.Hardened, func(o *flags.Options) {
			o.ServiceClusterIPRanges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, "service-cluster-ip-range", "1048576"},
		{"no node ports", flags.Hardened, func(o *flags.Options) { o.ServiceNodePorts.Size = 0 }, "service-node-port-range", "1 to 65535"},
		{"a node port that nobody is given", flags.Hardened, func(o *flags.Options) { o.KubernetesServiceNodePort = 443 }, "kubernetes-service-node-port", "service-node-port-range"},
		{"an unknown reconciler", flags.Hardened, func(o *flags.Options) { o.EndpointReconciler = "master-count" }, "endpoint-reconciler-type", "lease or none"},
		{"an unknown log format", flags.Hardened, func(o *flags.Options) { o.LoggingFormat = "xml" }, "logging-format", "text or json"},
		{"nowhere to keep anything", flags.Hardened, func(o *flags.Options) { o.DataDir = "" }, "data-dir", "needs one"},
		{"nothing on record", flags.Hardened, func(o *flags.Options) { o.AuditLogPath = "" }, "audit-log-path", "audit log"},
		{"everything allowed", flags.Hardened, func(o *flags.Options) { o.AuthorizationModes = []string{flags.AlwaysAllow} }, "authorization-mode", "refuses it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := valid(tt.profile)
			if tt.change != nil {
				tt.change(o)
			}
			err := o.Validate()
			if err == nil {
				t.Fatal("accepted")
			}
			if text := err.Error(); strings.Contains(text, "\n") || !strings.HasPrefix(text, "--"+tt.flag) || !strings.Contains(text, tt.says) {
				t.Errorf("faults = %q, want one on --%s that says %q", text, tt.flag, tt.says)
			}
		})
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	err := (&flags.Options{Profile: flags.Hardened}).Validate()
	if err == nil {
		t.Fatal("the zero options are valid")
	}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "--"), ":")
		name, _, _ = strings.Cut(name, "=")
		name, _, _ = strings.Cut(name, " ")
		got = append(got, name)
	}
	want := []string{
		"bind-address", "min-request-timeout", "etcd-prefix", "authorization-mode", "max-requests-inflight", "request-timeout",
		"service-cluster-ip-range", "service-node-port-range", "endpoint-reconciler-type", "event-ttl", "logging-format", "data-dir", "audit-log-path",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags with faults (-want +got):\n%s", diff)
	}
}

func TestCipherSuites(t *testing.T) {
	o := valid(flags.Hardened)
	o.TLSCipherSuites = []string{"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, o.CipherSuites()); diff != "" {
		t.Errorf("suites for TLS 1.2 (-want +got):\n%s", diff)
	}
}

func TestLocalURL(t *testing.T) {
	for bind, want := range map[string]string{
		"127.0.0.1": "https://127.0.0.1:7", "0.0.0.0": "https://127.0.0.1:7", "::": "https://[::1]:7", "10.1.2.3": "https://10.1.2.3:7",
	} {
		o := valid(flags.Hardened)
		o.BindAddress = netip.MustParseAddr(bind)
		if got := o.LocalURL(7); got != want {
			t.Errorf("listening on %s: URL = %s, want %s", bind, got, want)
		}
	}
}
