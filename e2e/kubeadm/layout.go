package kubeadm

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/certs"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/controlplane"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/etcd"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// The kubeconfigs that kubeadm writes, by file name below Layout.Dir.
const (
	// SuperAdmin is in system:masters.
	SuperAdmin = constants.SuperAdminKubeConfigFileName
	// Admin is in kubeadm:cluster-admins, a group that has no rights until they are bound.
	Admin = constants.AdminKubeConfigFileName
)

// Layout is a control plane on disk, nothing of which has been started.
type Layout struct {
	// Dir stands for /etc/kubernetes.
	Dir string
	// APIServerURL is where the API server will listen.
	APIServerURL string
	// EtcdURL is where etcd will listen for clients, with TLS.
	EtcdURL string
	// Commands holds the command line of each component, without the name of the program. The keys are etcd and the names of
	// the components: kube-apiserver, kube-controller-manager and kube-scheduler.
	Commands map[string][]string
	// HealthURLs says where each component but the API server answers when it is well.
	HealthURLs map[string]string

	cfg *kubeadmapi.InitConfiguration
}

// New writes certificates and kubeconfigs below dir and computes the command lines.
func New(dir string) (*Layout, error) {
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	cfg, err := configuration(dir, ports)
	if err != nil {
		return nil, err
	}
	if err := certs.CreatePKIAssets(cfg); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	for _, file := range []string{
		SuperAdmin, Admin, constants.ControllerManagerKubeConfigFileName, constants.SchedulerKubeConfigFileName,
	} {
		if err := kubeconfig.CreateKubeConfigFile(file, dir, cfg); err != nil {
			return nil, fmt.Errorf("make %s: %w", file, err)
		}
	}
	return &Layout{
		cfg:          cfg,
		Dir:          dir,
		APIServerURL: "https://" + loopback(ports.apiServer),
		EtcdURL:      "https://" + loopback(ports.etcd),
		Commands:     commands(dir, cfg),
		HealthURLs: map[string]string{
			constants.Etcd:                  "http://" + loopback(ports.etcdMetrics) + "/readyz",
			constants.KubeControllerManager: "https://" + loopback(ports.controllers) + "/healthz",
			constants.KubeScheduler:         "https://" + loopback(ports.scheduler) + "/readyz",
		},
	}, nil
}

// File returns the path of a file, such as pki/sa.key or Admin.
func (l *Layout) File(name string) string { return filepath.Join(l.Dir, filepath.FromSlash(name)) }

// Server describes the API server to code that needs no more than its address and its administrator.
func (l *Layout) Server(p *cluster.Process) *cluster.Server {
	return &cluster.Server{Process: p, URL: l.APIServerURL, Kubeconfig: l.File(Admin)}
}

// commands takes the command lines out of kubeadm's static pods. What kubeadm keeps in /etc/kubernetes is in dir.
func commands(dir string, cfg *kubeadmapi.InitConfiguration) map[string][]string {
	endpoint := cfg.LocalAPIEndpoint
	endpoint.AdvertiseAddress = advertised
	pods := controlplane.GetStaticPodSpecs(&cfg.ClusterConfiguration, &endpoint, []kubeadmapi.EnvVar{})
	pods[constants.Etcd] = etcd.GetEtcdPodSpec(&cfg.ClusterConfiguration, &cfg.LocalAPIEndpoint, cfg.NodeRegistration.Name, nil)
	out := map[string][]string{}
	for name, pod := range pods {
		out[name] = arguments(dir, pod)
	}
	return out
}

func arguments(dir string, pod corev1.Pod) []string {
	command := pod.Spec.Containers[0].Command
	args := make([]string, 0, len(command))
	for _, arg := range command[1:] {
		args = append(args, strings.ReplaceAll(arg, constants.KubernetesDir+"/", dir+"/"))
	}
	return args
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
