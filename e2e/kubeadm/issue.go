package kubeadm

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
)

// validity of what is issued beyond kubeadm's own files.
const validity = 24 * time.Hour

// Kubeconfig writes name.conf, which makes a client the user with the groups, and returns its path.
func (l *Layout) Kubeconfig(name, user string, groups ...string) (string, error) {
	path := l.File(name + ".conf")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("make kubeconfig of %s: %w", user, err)
	}
	defer file.Close()
	if err := kubeconfig.WriteKubeConfigWithClientCert(file, l.cfg, user, groups, time.Now().Add(validity)); err != nil {
		return "", fmt.Errorf("make kubeconfig of %s: %w", user, err)
	}
	return path, nil
}

// Serving issues a certificate for a server on loopback, from the cluster's authority, and returns its files.
func (l *Layout) Serving(name string) (certFile, keyFile string, err error) {
	ca, caKey, err := pkiutil.TryLoadCertAndKeyFromDisk(l.File("pki"), constants.CACertAndKeyBaseName)
	if err != nil {
		return "", "", fmt.Errorf("issue certificate of %s: %w", name, err)
	}
	cert, key, err := pkiutil.NewCertAndKey(ca, caKey, &pkiutil.CertConfig{
		Config: certutil.Config{
			CommonName: name,
			AltNames:   certutil.AltNames{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
			Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		},
		NotAfter:            time.Now().Add(validity),
		EncryptionAlgorithm: l.cfg.EncryptionAlgorithmType(),
	})
	if err != nil {
		return "", "", fmt.Errorf("issue certificate of %s: %w", name, err)
	}
	if err := pkiutil.WriteCertAndKey(l.File("pki"), name, cert, key); err != nil {
		return "", "", fmt.Errorf("write certificate of %s: %w", name, err)
	}
	return l.File("pki/" + name + ".crt"), l.File("pki/" + name + ".key"), nil
}
