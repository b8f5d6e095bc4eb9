package flags

import (
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// group begins a new group of flags; flags become visible in the set through it.
func (s *Set) group(title string, register func(fs *pflag.FlagSet)) {
	fs := pflag.NewFlagSet(title, pflag.ContinueOnError)
	fs.SortFlags = false
	register(fs)
	s.groups = append(s.groups, Group{Title: title, Flags: fs})
	s.all.AddFlagSet(fs)
}

func (s *Set) registerAll() {
	o := &s.options
	s.group("Gatehouse", func(fs *pflag.FlagSet) { registerOwn(fs, o) })
	s.group("Serving", func(fs *pflag.FlagSet) {
		registerServing(fs, o)
		registerTransport(fs, &o.Transport)
	})
	s.group("Etcd", func(fs *pflag.FlagSet) { registerEtcd(fs, o) })
	s.group("Authentication", func(fs *pflag.FlagSet) { registerAuthentication(fs, o) })
	s.group("Authorization and admission", func(fs *pflag.FlagSet) {
		registerAuthorization(fs, o)
		fs.StringSliceVar(&s.admission.enable, "enable-admission-plugins", nil,
			"kube-apiserver's admission plugins to turn on: "+strings.Join(filtered(offInKubernetes(), Plugins()), ", ")+
				"; NodeRestriction is on in the hardened profile; the others that exist here are on, and ImagePolicyWebhook is refused")
		fs.StringSliceVar(&s.admission.disable, "disable-admission-plugins", nil,
			"kube-apiserver's admission plugins to turn off, of "+strings.Join(Plugins(), ", ")+
				"; the hardened profile keeps "+strings.Join(keptOn(), ", ")+"; those that do not exist here are off")
		fs.StringVar(&o.AdmissionConfigFile, "admission-control-config-file", "",
			"configuration of admission plugins, as apiserver.config.k8s.io/v1 AdmissionConfiguration; read for PodSecurity, PodNodeSelector, PodTolerationRestriction, EventRateLimit")
		fs.Int64Var(&o.NotReadyTolerationSeconds, "default-not-ready-toleration-seconds", 300,
			"how long pods that do not say stay on a node that is not ready")
		fs.Int64Var(&o.UnreachableTolerationSeconds, "default-unreachable-toleration-seconds", 300,
			"how long pods that do not say stay on a node that cannot be reached")
	})
	s.group("Limits", func(fs *pflag.FlagSet) { registerLimits(fs, o) })
	s.group("Audit", func(fs *pflag.FlagSet) { registerAudit(fs, o) })
	s.group("Kubelet", func(fs *pflag.FlagSet) { registerKubelets(fs, &o.Kubelets) })
	s.group("Cluster", func(fs *pflag.FlagSet) { registerCluster(fs, o) })
	s.group("API", func(fs *pflag.FlagSet) { registerSwitches(fs, &s.switched) })
	s.group("Logging", func(fs *pflag.FlagSet) {
		fs.IntVarP(&o.Verbosity, "v", "v", 0, "log verbosity from 0 to 10; 4 and more logs debug messages")
		fs.StringVar(&o.LoggingFormat, "logging-format", "text", "text or json")
	})
}

func registerOwn(fs *pflag.FlagSet, o *Options) {
	fs.Var(parsed[Profile]{&o.Profile, parseProfile, func(p Profile) string { return string(p) }, "profile"},
		"profile", "defaults to start from: hardened, or compatible for those of kube-apiserver")
	fs.StringVar(&o.DataDir, "data-dir", "", "directory for the embedded etcd, keys, the audit log and admin.kubeconfig")
	fs.StringVar(&o.PolicyDir, "policy-dir", "", "directory of Rego policies beside the embedded ones; read again when it changes")
	fs.BoolVar(&o.StandaloneLoops, "standalone-loops", false,
		"while no kube-controller-manager holds its Lease: furnish new namespaces, empty deleted ones, collect garbage, release unused volumes and claims")
}

func registerServing(fs *pflag.FlagSet, o *Options) {
	address := func(p *netip.Addr) pflag.Value {
		return parsed[netip.Addr]{p, parseAddress, formatAddress, "ip"}
	}
	fs.Var(address(&o.BindAddress), "bind-address", "address to listen on; 0.0.0.0 or :: means all")
	fs.IntVar(&o.SecurePort, "secure-port", 6443, "port to listen on; 0 chooses a free one")
	fs.Var(address(&o.AdvertiseAddress), "advertise-address", "address that the cluster reaches this server at (default the one listened on); a made serving certificate is valid for it")
	fs.StringVar(&o.ExternalHostname, "external-hostname", "", "host name that clients reach this server at; a made serving certificate is valid for it")
	fs.StringVar(&o.CertDir, "cert-dir", "",
		"directory of apiserver.crt and apiserver.key, made if missing (default pki in the data directory)")
	fs.StringVar(&o.TLSCertFile, "tls-cert-file", "", "serving certificate with its chain")
	fs.StringVar(&o.TLSPrivateKeyFile, "tls-private-key-file", "", "key of --tls-cert-file")
	fs.Var(parsed[uint16]{&o.TLSMinVersion, parseTLSVersion, formatTLSVersion, "version"},
		"tls-min-version", "lowest TLS version: VersionTLS12 or VersionTLS13; the compatible profile takes older ones too (default VersionTLS12)")
	fs.StringSliceVar(&o.TLSCipherSuites, "tls-cipher-suites", nil,
		"cipher suites for TLS 1.2 and lower (default those with forward secrecy and authenticated encryption)")
	fs.IntVar(&o.HTTP2MaxStreamsPerConnection, "http2-max-streams-per-connection", 0,
		"requests that one HTTP/2 connection may have open; 0 means 100")
}

func registerEtcd(fs *pflag.FlagSet, o *Options) {
	fs.StringSliceVar(&o.EtcdServers, "etcd-servers", nil, "URLs of an external etcd (default the embedded one, in the hardened profile)")
	fs.StringVar(&o.EtcdCAFile, "etcd-cafile", "", "authority of etcd's certificates (default the system's)")
	fs.StringVar(&o.EtcdCertFile, "etcd-certfile", "", "certificate to show to etcd")
	fs.StringVar(&o.EtcdKeyFile, "etcd-keyfile", "", "key of --etcd-certfile")
	fs.StringVar(&o.EtcdPrefix, "etcd-prefix", "/registry", "what all keys in etcd begin with")
}

func registerLimits(fs *pflag.FlagSet, o *Options) {
	fs.IntVar(&o.MaxRequestsInflight, "max-requests-inflight", 400, "reads that are worked on at once")
	fs.IntVar(&o.MaxMutatingRequestsInflight, "max-mutating-requests-inflight", 200, "writes that are worked on at once")
	fs.Float64Var(&o.PeerRateLimit, "peer-rate-limit", 0, "requests a second from one address, before authentication; 0 means no limit")
	fs.IntVar(&o.PeerRateBurst, "peer-rate-burst", 10000, "requests that one address may send at once")
	fs.Float64Var(&o.ClientRateLimit, "client-rate-limit", 0,
		"requests a second from one user, LISTs counted by their size; 0 means no limit")
	fs.IntVar(&o.ClientRateBurst, "client-rate-burst", 1000, "requests that one user may send at once")
	fs.DurationVar(&o.RequestTimeout, "request-timeout", time.Minute, "bound of every request that is not long-running")
}

func registerAudit(fs *pflag.FlagSet, o *Options) {
	fs.StringVar(&o.AuditLogPath, "audit-log-path", "",
		"file of the audit log, - is standard output (default audit/audit.log in the data directory; none in the compatible profile)")
	fs.StringVar(&o.AuditPolicyFile, "audit-policy-file", "", "what is recorded, as audit.k8s.io/v1 Policy (default an embedded policy)")
	fs.IntVar(&o.AuditLogMaxSize, "audit-log-maxsize", 100, "MiB at which a new file is begun; 0 means never")
	fs.IntVar(&o.AuditLogMaxBackup, "audit-log-maxbackup", 100, "old files that are kept; 0 means all")
	fs.IntVar(&o.AuditLogMaxAge, "audit-log-maxage", 366, "days that old files are kept; 0 means for ever")
}

func registerCluster(fs *pflag.FlagSet, o *Options) {
	o.ServiceClusterIPRanges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	fs.Var(parsed[[]netip.Prefix]{&o.ServiceClusterIPRanges, parsePrefixes, formatPrefixes, "ranges"},
		"service-cluster-ip-range", "where service addresses come from: one range, or an IPv4 and an IPv6 one")
	o.ServiceNodePorts = utilnet.PortRange{Base: 30000, Size: 2768}
	fs.Var(parsed[utilnet.PortRange]{&o.ServiceNodePorts, parsePortRange, utilnet.PortRange.String, "ports"},
		"service-node-port-range", "where node ports of services come from")
	fs.IntVar(&o.KubernetesServiceNodePort, "kubernetes-service-node-port", 0,
		"node port of the service kubernetes, if that is to have one; used when the service is made")
	fs.StringVar(&o.EndpointReconciler, "endpoint-reconciler-type", ReconcilerLease,
		"how the endpoints of the service kubernetes are kept: lease, or none to leave them alone")
	fs.DurationVar(&o.EventTTL, "event-ttl", time.Hour, "how long events are kept")
	fs.DurationVar(&o.EtcdCompactionInterval, "etcd-compaction-interval", 5*time.Minute,
		"how often etcd is told to forget old revisions; 0 leaves that to somebody else")
}
