package flags

import (
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Options say how to serve. The zero value is not valid; [Set.Options] returns one that is.
type Options struct {
	// Profile decides the defaults and which unsafe choices are refused. Zero is refused.
	Profile Profile
	// DataDir is the directory for everything the server keeps on disk itself. Empty means that it keeps nothing, which
	// is only possible in the compatible profile.
	DataDir string

	// StandaloneLoops does what kubectl needs of a kube-controller-manager while there is none.
	StandaloneLoops bool

	// BindAddress is the address to listen on; an unspecified one (0.0.0.0, ::) means all. Zero is refused.
	BindAddress netip.Addr
	// SecurePort is the TCP port to listen on; 0 lets the system choose a free one.
	SecurePort int
	// AdvertiseAddress is published as the address of the "kubernetes" service. Zero means the address listened on, or
	// that of the default interface if that is unspecified.
	AdvertiseAddress netip.Addr
	// ExternalHostname is what clients call the server; a made serving certificate is valid for it. Empty means none.
	ExternalHostname string
	// CertDir holds apiserver.crt and apiserver.key, which are made if they are missing. It is not used if TLSCertFile
	// is set; empty means the directory pki in DataDir.
	CertDir string
	// TLSCertFile and TLSPrivateKeyFile are the serving certificate with its chain, and its key. Both or none.
	TLSCertFile       string
	TLSPrivateKeyFile string
	// TLSMinVersion is the lowest protocol version as crypto/tls numbers it. Zero means TLS 1.2.
	TLSMinVersion uint16
	// TLSCipherSuites are the names of the suites for TLS 1.2 and lower. Empty means the suites with forward secrecy and
	// authenticated encryption.
	TLSCipherSuites []string
	// HTTP2MaxStreamsPerConnection bounds the requests that a connection has open. Zero means 100.
	HTTP2MaxStreamsPerConnection int
	// Transport says how connections are kept.
	Transport Transport

	// EtcdServers are the URLs of an external etcd. Empty means the embedded one, which is in DataDir.
	EtcdServers []string
	// EtcdCAFile verifies the certificates of EtcdServers. Empty means the system's roots.
	EtcdCAFile string
	// EtcdCertFile and EtcdKeyFile identify this server to etcd. Both or none.
	EtcdCertFile string
	EtcdKeyFile  string
	// EtcdPrefix is what all keys begin with. It is an absolute, clean path; empty is refused.
	EtcdPrefix string

	// ClientCAFile holds the authorities whose client certificates are accepted. Empty means only the authority in
	// DataDir, and none without DataDir. That authority is accepted beside those in the file.
	ClientCAFile string
	// ClientCRLFile holds revocation lists of the authorities of client certificates. Empty means none.
	ClientCRLFile string
	// DenyListFile names credentials and users that are refused. Empty means none.
	DenyListFile string
	// TokenAuthFile is a CSV file of static tokens. Empty means none.
	TokenAuthFile string
	// Anonymous says which requests need no credentials. Zero means none.
	Anonymous Anonymous
	// ServiceAccountIssuers are the issuers whose tokens are accepted; the first one is put into new tokens. Empty
	// means the URL that this server is reached at.
	ServiceAccountIssuers []string
	// ServiceAccountKeyFiles hold the keys that verify tokens. Empty means the public half of the signing key.
	ServiceAccountKeyFiles []string
	// ServiceAccountSigningKeyFile signs tokens. Empty means the key in DataDir.
	ServiceAccountSigningKeyFile string
	// ServiceAccountMaxTokenExpiration is the longest life of a token; a request for more is cut to it. Zero means
	// no limit but that of the API, 2^32 seconds.
	ServiceAccountMaxTokenExpiration time.Duration
	// ServiceAccountExtendTokenExpiration lets tokens that pods mount live for a year, for clients that do not read
	// them again.
	ServiceAccountExtendTokenExpiration bool
	// ServiceAccountJWKSURI is where the discovery document says that the keys are. Empty means at this server.
	ServiceAccountJWKSURI string
	// BootstrapTokenAuth accepts the bootstrap tokens in kube-system.
	BootstrapTokenAuth bool
	// RequestHeader says which front proxies are believed.
	RequestHeader RequestHeader
	// AuthenticationConfigFile is an AuthenticationConfiguration. Empty means none.
	AuthenticationConfigFile string
	// OIDC is an issuer of tokens; there is none with AuthenticationConfigFile.
	OIDC OIDC
	// AnonymousGiven says that Anonymous was asked for, rather than being the default.
	AnonymousGiven bool
	// TokenWebhook says which service is asked about tokens.
	TokenWebhook TokenWebhook
	// APIAudiences are the audiences that a token must name at least one of. Empty means ServiceAccountIssuers.
	APIAudiences []string

	// AuthorizationModes are asked in this order. Empty means that Authorization has a configuration.
	AuthorizationModes []string
	// Authorization says more about who decides.
	Authorization Authorization
	// AdmissionOn are the admission plugins that are off in kube-apiserver by default and on here, AdmissionOff those that are on there and off here. Empty
	// means kube-apiserver's defaults; [PluginIsOn] says which are on.
	AdmissionOn, AdmissionOff []string
	// AdmissionConfigFile configures admission plugins, as apiserver.config.k8s.io/v1 AdmissionConfiguration. Empty means their defaults.
	AdmissionConfigFile string
	// NotReadyTolerationSeconds and UnreachableTolerationSeconds are how long pods that do not say stay on a node that is not ready
	// or cannot be reached.
	NotReadyTolerationSeconds    int64
	UnreachableTolerationSeconds int64
	// PolicyDir holds Rego policies and policies.yaml. Empty means the embedded library only, which is off by default
	// in the compatible profile.
	PolicyDir string

	// AuditLogPath is the file that audit events are written to, "-" is standard output. Empty means that there is no
	// audit log, which is only possible in the compatible profile.
	AuditLogPath string
	// AuditPolicyFile says what is recorded. Empty means the embedded policy.
	AuditPolicyFile string
	// AuditLogMaxSize is the size in MiB at which a new file is begun; 0 means never.
	AuditLogMaxSize int
	// AuditLogMaxBackup is how many old files are kept; 0 means all.
	AuditLogMaxBackup int
	// AuditLogMaxAge is how many days old files are kept; 0 means for ever.
	AuditLogMaxAge int

	// MaxRequestsInflight bounds the reads that are worked on at once. Together with MaxMutatingRequestsInflight it must be
	// positive.
	MaxRequestsInflight int
	// MaxMutatingRequestsInflight bounds the writes that are worked on at once.
	MaxMutatingRequestsInflight int
	// PeerRateLimit bounds the requests a second of one address (for IPv6, of one /64) before anything else is done
	// with them. 0 means no limit.
	PeerRateLimit float64
	// PeerRateBurst is how many requests a peer may send at once. It is at least 1 if PeerRateLimit is set.
	PeerRateBurst int
	// ClientRateLimit bounds the requests a second of one user; a LIST counts for more the more it returns. 0 means no
	// limit.
	ClientRateLimit float64
	// ClientRateBurst is how many requests a user may send at once. It is at least 1 if ClientRateLimit is set.
	ClientRateBurst int
	// RequestTimeout bounds every request but the long-running ones. It is at least a second.
	RequestTimeout time.Duration

	// Kubelets says how kubelets are connected to.
	Kubelets Kubelets

	// ServiceClusterIPRanges are where the addresses of services are taken from: one range, or one of each family.
	ServiceClusterIPRanges []netip.Prefix
	// ServiceNodePorts are the ports of all nodes that services may be given. It is not empty and ends at 65535 or before.
	ServiceNodePorts utilnet.PortRange
	// KubernetesServiceNodePort is the node port of the "kubernetes" service; 0 means that it has none.
	KubernetesServiceNodePort int
	// EndpointReconciler says who keeps the endpoints of the "kubernetes" service: [ReconcilerLease] or [ReconcilerNone].
	EndpointReconciler string
	// EtcdCompactionInterval is how long old revisions stay readable before etcd is told to forget them. 0 never
	// does; otherwise it is at least a second.
	EtcdCompactionInterval time.Duration
	// EventTTL is how long events are kept. It is at least a second.
	EventTTL time.Duration

	// Verbosity is kube-apiserver's -v, from 0 to 10: from 4 on debug messages are logged.
	Verbosity int
	// LoggingFormat is "text" or "json".
	LoggingFormat string
}

// Values of EndpointReconciler.
const (
	// ReconcilerLease lets every server add its own address as long as it lives.
	ReconcilerLease = "lease"
	// ReconcilerNone leaves the endpoints to somebody else.
	ReconcilerNone = "none"
)

// LogLevel is the level that Verbosity asks for.
func (o *Options) LogLevel() slog.Level {
	if o.Verbosity >= debugVerbosity {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// debugVerbosity is where kube-apiserver's conventions put what is for debugging.
const debugVerbosity = 4

// ListenAddress is what to listen on, for net.Listen.
func (o *Options) ListenAddress() string {
	return net.JoinHostPort(o.BindAddress.String(), strconv.Itoa(o.SecurePort))
}

// LocalURL is how a client on this machine reaches the server once it listens on port.
func (o *Options) LocalURL(port int) string {
	host := o.BindAddress
	switch host {
	case netip.IPv4Unspecified():
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		host = netip.IPv6Loopback()
	}
	return "https://" + net.JoinHostPort(host.String(), strconv.Itoa(port))
}

// DefaultAuditLog is where the audit log is in a data directory.
func DefaultAuditLog(dataDir string) string {
	return filepath.Join(dataDir, "audit", "audit.log")
}
