package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"
)

// maxFileBytes bounds a kubeconfig and each file that it refers to.
const maxFileBytes = 1 << 20

// endpoint is what a kubeconfig says of a webhook.
type endpoint struct {
	url           *url.URL
	tls           *tls.Config
	authorization func() (string, error) // nil: nothing is sent
	files         [][]byte               // what was read, to notice a change
}

// loader reads a kubeconfig and the files that it refers to.
type loader struct {
	path  string
	files [][]byte
}

func load(path string) (*endpoint, error) {
	l := &loader{path: path}
	data, err := l.read(path)
	if err != nil {
		return nil, err
	}
	var config clientcmdv1.Config
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	e, err := l.endpoint(&config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	e.files = l.files
	return e, nil
}

// read reads a file that is named relative to the kubeconfig.
func (l *loader) read(path string) ([]byte, error) {
	if !filepath.IsAbs(path) && path != l.path {
		path = filepath.Join(filepath.Dir(l.path), path)
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, data)
	return data, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return data, err
}

// endpoint takes the cluster and the user of the current context.
func (l *loader) endpoint(c *clientcmdv1.Config) (*endpoint, error) {
	context, ok := find(c.Contexts, func(n clientcmdv1.NamedContext) (string, clientcmdv1.Context) { return n.Name, n.Context }, c.CurrentContext)
	if !ok {
		return nil, fmt.Errorf("there is no context %q, which current-context names", c.CurrentContext)
	}
	cluster, ok := find(c.Clusters, func(n clientcmdv1.NamedCluster) (string, clientcmdv1.Cluster) { return n.Name, n.Cluster }, context.Cluster)
	if !ok {
		return nil, fmt.Errorf("there is no cluster %q, which the current context names", context.Cluster)
	}
	user, ok := find(c.AuthInfos, func(n clientcmdv1.NamedAuthInfo) (string, clientcmdv1.AuthInfo) { return n.Name, n.AuthInfo }, context.AuthInfo)
	if !ok && context.AuthInfo != "" {
		return nil, fmt.Errorf("there is no user %q, which the current context names", context.AuthInfo)
	}
	e := &endpoint{tls: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cluster.TLSServerName}}
	return e, errors.Join(l.setServer(e, &cluster), l.setCertificate(e, &user), l.setAuthorization(e, &user))
}

func find[N, V any](list []N, split func(N) (string, V), name string) (value V, ok bool) {
	for _, n := range list {
		if key, v := split(n); key == name {
			return v, true
		}
	}
	return value, false
}

func (l *loader) setServer(e *endpoint, c *clientcmdv1.Cluster) error {
	u, err := url.Parse(c.Server)
	switch {
	case err != nil:
		return errors.New("server: it is no URL")
	case u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("server %q: want an https URL, nothing is sent in clear", u.Redacted())
	case u.User != nil:
		return fmt.Errorf("server %q: no user in the URL", u.Redacted())
	case c.InsecureSkipTLSVerify:
		return errors.New("insecure-skip-tls-verify: not supported, name the authority of the server")
	case c.ProxyURL != "":
		return errors.New("proxy-url: not supported")
	}
	e.url = u
	ca := c.CertificateAuthorityData
	if len(ca) == 0 && c.CertificateAuthority != "" {
		if ca, err = l.read(c.CertificateAuthority); err != nil {
			return fmt.Errorf("certificate-authority: %w", err)
		}
	}
	if len(ca) > 0 {
		e.tls.RootCAs = x509.NewCertPool()
		if !e.tls.RootCAs.AppendCertsFromPEM(ca) {
			return errors.New("certificate-authority: it holds no certificate in PEM form")
		}
	}
	return nil
}

func (l *loader) setCertificate(e *endpoint, u *clientcmdv1.AuthInfo) (err error) {
	cert, key := u.ClientCertificateData, u.ClientKeyData
	if len(cert) == 0 && u.ClientCertificate != "" {
		if cert, err = l.read(u.ClientCertificate); err != nil {
			return fmt.Errorf("client-certificate: %w", err)
		}
	}
	if len(key) == 0 && u.ClientKey != "" {
		if key, err = l.read(u.ClientKey); err != nil {
			return fmt.Errorf("client-key: %w", err)
		}
	}
	if len(cert) == 0 && len(key) == 0 {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("client-certificate: %w", err)
	}
	e.tls.Certificates = []tls.Certificate{pair}
	return nil
}

func (l *loader) setAuthorization(e *endpoint, u *clientcmdv1.AuthInfo) error {
	switch {
	case u.Exec != nil:
		return errors.New("exec: not supported, no program is run for a credential")
	case u.AuthProvider != nil:
		return errors.New("auth-provider: not supported")
	case u.Impersonate != "" || u.ImpersonateUID != "" || len(u.ImpersonateGroups) > 0 || len(u.ImpersonateUserExtra) > 0:
		return errors.New("as: not supported")
	case u.Username != "" || u.Password != "":
		return errors.New("username and password: not supported, use a token or a client certificate")
	case u.TokenFile != "":
		if _, err := l.read(u.TokenFile); err != nil {
			return fmt.Errorf("tokenFile: %w", err)
		}
		path := u.TokenFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(l.path), path)
		}
		// It is read for each call: tokens that are mounted are renewed in place.
		e.authorization = func() (string, error) {
			token, err := readFile(path)
			return bearer(string(token)), err
		}
	case u.Token != "":
		token := bearer(u.Token)
		e.authorization = func() (string, error) { return token, nil }
	}
	return nil
}

func bearer(token string) string { return "Bearer " + strings.TrimSpace(token) }
