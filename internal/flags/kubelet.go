package flags

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Kubelets says how the server connects to kubelets: for logs, exec, attach, port-forward and proxy.
type Kubelets struct {
	// ClientCertificate and ClientKey identify this server to kubelets. Both or none; none means that kubelets decide about it as about
	// anybody.
	ClientCertificate, ClientKey string
	// CertificateAuthority verifies the certificates of kubelets. Empty means the authority in DataDir in the hardened profile, and
	// that they are not verified in the compatible one.
	CertificateAuthority string
	// AddressTypes are the types of node addresses to connect to, the first that a node has. Empty means kube-apiserver's.
	AddressTypes []string
	// Timeout bounds connecting. It is at least a second; 0 means five.
	Timeout time.Duration
	// AllowLoopback lets kubelets be at loopback addresses.
	AllowLoopback bool
}

// maxKubeletTimeout keeps a request from waiting for a node longer than any client waits.
const maxKubeletTimeout = 5 * time.Minute

func nodeAddressTypes() []string {
	return []string{"Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"}
}

func registerKubelets(fs *pflag.FlagSet, k *Kubelets) {
	fs.StringVar(&k.ClientCertificate, "kubelet-client-certificate", "", "certificate to show to kubelets")
	fs.StringVar(&k.ClientKey, "kubelet-client-key", "", "key of --kubelet-client-certificate")
	fs.StringVar(&k.CertificateAuthority, "kubelet-certificate-authority", "",
		"authority of kubelets' certificates (default the one in the data directory; without one the compatible profile does not verify them)")
	fs.StringSliceVar(&k.AddressTypes, "kubelet-preferred-address-types", nodeAddressTypes(),
		"types of node addresses to connect to, the first that a node has")
	fs.DurationVar(&k.Timeout, "kubelet-timeout", 5*time.Second, "bound of connecting to a kubelet, pod or service")
	fs.BoolVar(&k.AllowLoopback, "kubelet-allow-loopback", false,
		"connect to kubelets at loopback addresses too, as clusters on one machine need")
}

func (k *Kubelets) validate(f *faults) {
	both(f, "kubelet-client-certificate", k.ClientCertificate, "kubelet-client-key", k.ClientKey)
	for i, t := range k.AddressTypes {
		switch {
		case !slices.Contains(nodeAddressTypes(), t):
			f.add("kubelet-preferred-address-types", "=%s: no such type, there are %s", t, strings.Join(nodeAddressTypes(), ", "))
		case slices.Contains(k.AddressTypes[:i], t):
			f.add("kubelet-preferred-address-types", "=%s: given twice", t)
		}
	}
	if k.Timeout != 0 {
		during(f, "kubelet-timeout", k.Timeout, time.Second, maxKubeletTimeout)
	}
}
