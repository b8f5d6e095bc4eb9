package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	stopGrace = 20 * time.Second
	pollEvery = 10 * time.Millisecond
)

// Server is a running Kubernetes API server.
type Server struct {
	*Process

	// URL is the https address without a path.
	URL string
	// Kubeconfig is the file that makes a client a cluster administrator.
	Kubeconfig string
	// ReadyAfter is how long the process took to answer /readyz with 200.
	ReadyAfter time.Duration
}

// Config returns the administrator's client configuration. Its rate limit is
// off, so that a test meets the server's limits and not the client's.
func (s *Server) Config() (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", s.Kubeconfig, err)
	}
	cfg.QPS = -1
	return cfg, nil
}

// Client returns an HTTP client that authenticates as the administrator.
func (s *Server) Client() (*http.Client, error) {
	cfg, err := s.Config()
	if err != nil {
		return nil, err
	}
	return s.clientFor(cfg)
}

// AnonymousClient returns an HTTP client that trusts the server and presents no
// credentials.
func (s *Server) AnonymousClient() (*http.Client, error) {
	cfg, err := s.Config()
	if err != nil {
		return nil, err
	}
	return s.clientFor(rest.AnonymousClientConfig(cfg))
}

func (s *Server) clientFor(cfg *rest.Config) (*http.Client, error) {
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client of %s: %w", s.URL, err)
	}
	return client, nil
}

// Close stops the server and waits for its end.
func (s *Server) Close() error { return s.Stop(stopGrace) }

// FreePort returns a loopback port that nobody listens on at this moment.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// WaitReady polls path below base until it answers 200. It gives up when ctx
// ends or when the process does; both errors name the log file.
func WaitReady(ctx context.Context, p *Process, base, path string) error {
	client := &http.Client{
		Timeout: 2 * time.Second,
		// Readiness carries no secret, and the answer decides nothing but
		// when to begin: the certificate may be unknown at this point.
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives: true,
		},
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if probe(ctx, client, base+path) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.Exited():
			return fmt.Errorf("%s ended before it was ready: %w, see %s", base, errors.Join(errors.New("exited"), p.Err()), p.LogFile)
		case <-ctx.Done():
			return fmt.Errorf("%s%s did not answer 200: %w, see %s", base, path, ctx.Err(), p.LogFile)
		}
	}
}

func probe(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// WriteKubeconfig writes a kubeconfig for one user of the server at url. The
// user is identified by a client certificate that ca has issued under name.
func WriteKubeconfig(path, url string, ca *Authority, name string) error {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["e2e"] = &clientcmdapi.Cluster{Server: url, CertificateAuthority: ca.File("ca.crt")}
	cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificate: ca.File(name + ".crt"),
		ClientKey:         ca.File(name + ".key"),
	}
	cfg.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: name}
	cfg.CurrentContext = "e2e"
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// subdir makes a private directory below dir.
func subdir(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("make directory of %s: %w", name, err)
	}
	return path, nil
}
