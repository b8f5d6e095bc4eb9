package kubeadm

import (
	"fmt"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	kubeadmv1 "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const (
	// advertised is an address for documentation (RFC 5737): that of the service kubernetes must not be on loopback, and
	// nothing in these tests dials it.
	advertised = "192.0.2.10"
	podSubnet  = "10.244.0.0/16"
)

type ports struct {
	apiServer, etcd, etcdPeer, etcdMetrics, controllers, scheduler int
}

func freePorts() (ports, error) {
	var p ports
	for _, port := range []*int{&p.apiServer, &p.etcd, &p.etcdPeer, &p.etcdMetrics, &p.controllers, &p.scheduler} {
		var err error
		if *port, err = cluster.FreePort(); err != nil {
			return ports{}, err
		}
	}
	return p, nil
}

// configuration is what kubeadm makes of a configuration file that names the version, the pod network, the ports and the
// directories.
func configuration(dir string, p ports) (*kubeadmapi.InitConfiguration, error) {
	node := &kubeadmv1.InitConfiguration{
		LocalAPIEndpoint: kubeadmv1.APIEndpoint{AdvertiseAddress: advertised, BindPort: int32(p.apiServer)},
		NodeRegistration: kubeadmv1.NodeRegistrationOptions{Name: "control-plane", Taints: []corev1.Taint{}},
	}
	whole := &kubeadmv1.ClusterConfiguration{
		KubernetesVersion:    cluster.KubernetesVersion,
		CertificatesDir:      filepath.Join(dir, "pki"),
		ControlPlaneEndpoint: loopback(p.apiServer),
		Networking:           kubeadmv1.Networking{PodSubnet: podSubnet},
		Etcd:                 kubeadmv1.Etcd{Local: &kubeadmv1.LocalEtcd{DataDir: filepath.Join(dir, "etcd"), ExtraArgs: etcdArgs(p)}},
		APIServer: kubeadmv1.APIServer{ControlPlaneComponent: kubeadmv1.ControlPlaneComponent{
			ExtraArgs: []kubeadmv1.Arg{{Name: "bind-address", Value: "127.0.0.1"}},
		}},
		ControllerManager: kubeadmv1.ControlPlaneComponent{ExtraArgs: portArgs(p.controllers)},
		Scheduler:         kubeadmv1.ControlPlaneComponent{ExtraArgs: portArgs(p.scheduler)},
		// Keys of this kind are made in no time.
		EncryptionAlgorithm: kubeadmv1.EncryptionAlgorithmECDSAP256,
	}
	cfg, err := config.DefaultedInitConfiguration(node, whole, config.LoadOrDefaultConfigurationOptions{SkipCRIDetect: true})
	if err != nil {
		return nil, fmt.Errorf("complete kubeadm's configuration: %w", err)
	}
	// kubeadm refuses loopback in a configuration, but certificates and kubeconfigs are to be for it.
	cfg.LocalAPIEndpoint.AdvertiseAddress = "127.0.0.1"
	return cfg, nil
}

func etcdArgs(p ports) []kubeadmv1.Arg {
	client, peer := "https://"+loopback(p.etcd), "https://"+loopback(p.etcdPeer)
	return []kubeadmv1.Arg{
		{Name: "listen-client-urls", Value: client},
		{Name: "advertise-client-urls", Value: client},
		{Name: "listen-peer-urls", Value: peer},
		{Name: "initial-advertise-peer-urls", Value: peer},
		{Name: "initial-cluster", Value: "control-plane=" + peer},
		{Name: "listen-metrics-urls", Value: "http://" + loopback(p.etcdMetrics)},
	}
}

func portArgs(port int) []kubeadmv1.Arg {
	return []kubeadmv1.Arg{{Name: "secure-port", Value: strconv.Itoa(port)}}
}
