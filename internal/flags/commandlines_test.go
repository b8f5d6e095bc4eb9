package flags_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// TestCommandLinesOfOthers takes the command lines that the programs which start a kube-apiserver write, word for word. An empty list of
// faults means that the server starts with them.
func TestCommandLinesOfOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		args   string
		faults []string
	}{
		"kubeadm's static pod": {`
			--advertise-address=192.168.0.2
			--allow-privileged=true
			--authorization-mode=Node,RBAC
			--client-ca-file=/etc/kubernetes/pki/ca.crt
			--enable-admission-plugins=NodeRestriction
			--enable-bootstrap-token-auth=true
			--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
			--etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt
			--etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key
			--etcd-servers=https://127.0.0.1:2379
			--kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt
			--kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key
			--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname
			--proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt
			--proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key
			--requestheader-allowed-names=front-proxy-client
			--requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt
			--requestheader-extra-headers-prefix=X-Remote-Extra-
			--requestheader-group-headers=X-Remote-Group
			--requestheader-username-headers=X-Remote-User
			--secure-port=6443
			--service-account-issuer=https://kubernetes.default.svc.cluster.local
			--service-account-key-file=/etc/kubernetes/pki/sa.pub
			--service-account-signing-key-file=/etc/kubernetes/pki/sa.key
			--service-cluster-ip-range=10.96.0.0/12
			--tls-cert-file=/etc/kubernetes/pki/apiserver.crt
			--tls-private-key-file=/etc/kubernetes/pki/apiserver.key`, nil},
		"the unit of Kubernetes the hard way": {`
			--allow-privileged=true
			--audit-log-maxage=30
			--audit-log-maxbackup=3
			--audit-log-maxsize=100
			--audit-log-path=/var/log/audit.log
			--authorization-mode=Node,RBAC
			--bind-address=0.0.0.0
			--client-ca-file=/var/lib/kubernetes/ca.crt
			--enable-admission-plugins=NamespaceLifecycle,NodeRestriction,LimitRanger,ServiceAccount,DefaultStorageClass,ResourceQuota
			--etcd-servers=http://127.0.0.1:2379
			--event-ttl=1h
			--encryption-provider-config=/var/lib/kubernetes/encryption-config.yaml
			--kubelet-certificate-authority=/var/lib/kubernetes/ca.crt
			--kubelet-client-certificate=/var/lib/kubernetes/kube-api-server.crt
			--kubelet-client-key=/var/lib/kubernetes/kube-api-server.key
			--runtime-config=api/all=true
			--service-account-key-file=/var/lib/kubernetes/service-accounts.crt
			--service-account-signing-key-file=/var/lib/kubernetes/service-accounts.key
			--service-account-issuer=https://server.kubernetes.local:6443
			--service-node-port-range=30000-32767
			--tls-cert-file=/var/lib/kubernetes/kube-api-server.crt
			--tls-private-key-file=/var/lib/kubernetes/kube-api-server.key
			--v=2`, []string{"--encryption-provider-config: not implemented yet"}},
		"the hard way of old, with what has been deprecated since": {`
			--apiserver-count=3
			--advertise-address=10.240.0.10
			--authorization-mode=Node,RBAC
			--client-ca-file=/var/lib/kubernetes/ca.pem
			--etcd-servers=https://10.240.0.10:2379,https://10.240.0.11:2379
			--etcd-cafile=/var/lib/kubernetes/ca.pem
			--service-account-issuer=https://10.240.0.10:6443
			--service-account-signing-key-file=/var/lib/kubernetes/service-account-key.pem
			--service-cluster-ip-range=10.32.0.0/24`, nil},
		"envtest": {`
			--allow-privileged=true
			--authorization-mode=RBAC
			--bind-address=127.0.0.1
			--cert-dir=/tmp/k8s_test_framework_1
			--client-ca-file=/tmp/k8s_test_framework_1/client-cert-auth-ca.crt
			--disable-admission-plugins=ServiceAccount
			--etcd-servers=http://127.0.0.1:41234
			--secure-port=41235
			--service-account-issuer=https://127.0.0.1:41235/
			--service-account-key-file=/tmp/k8s_test_framework_1/sa-signer.crt
			--service-account-signing-key-file=/tmp/k8s_test_framework_1/sa-signer.key
			--service-cluster-ip-range=10.0.0.0/24`, nil},
		"a hardening guide's additions": {`
			--anonymous-auth=false
			--audit-log-path=/var/log/audit.log
			--authorization-mode=Node,RBAC
			--etcd-servers=http://127.0.0.1:2379
			--profiling=false
			--request-timeout=300s
			--service-account-lookup=true
			--service-account-extend-token-expiration=false
			--service-account-issuer=https://kubernetes.default.svc
			--service-account-signing-key-file=/etc/kubernetes/pki/sa.key
			--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
			--tls-min-version=VersionTLS12`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := parse(t, flags.Compatible, strings.Fields(tt.args)...)
			var faults []string
			if err != nil {
				faults = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tt.faults, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
