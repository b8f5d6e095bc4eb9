package diff

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// answerTimeout bounds one request: a watch that does not end is cut off.
const answerTimeout = 30 * time.Second

// maxAnswer bounds how much of an answer is read, in bytes.
const maxAnswer = 64 << 20

// GatehouseArgs are the flags that make Gatehouse what a drop-in would be: hardened defaults are not kube-apiserver's, by intention,
// and a run sends more requests than one client may.
func GatehouseArgs() []string {
	return []string{
		"--profile=compatible", "--bind-address=127.0.0.1", "--authorization-mode=RBAC", "--cert-dir=",
		"--client-rate-limit=20000", "--client-rate-burst=20000", "--peer-rate-limit=20000", "--peer-rate-burst=20000",
	}
}

// Target is one of the two servers.
type Target struct {
	// Name is what reports call it.
	Name string
	// Config is the administrator's configuration, without a rate limit of its own.
	Config *rest.Config

	admin, plain *http.Client
}

// NewTarget makes a target of a kubeconfig file. A url, unless empty, replaces the address in the file.
func NewTarget(name, kubeconfig, url string) (*Target, error) {
	cfg, err := clientcmd.BuildConfigFromFlags(url, kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", name, err)
	}
	cfg.QPS = -1
	return TargetFor(name, cfg)
}

// TargetFor makes a target of a client configuration.
func TargetFor(name string, cfg *rest.Config) (*Target, error) {
	admin, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", name, err)
	}
	plain, err := rest.HTTPClientFor(rest.AnonymousClientConfig(cfg))
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", name, err)
	}
	for _, client := range []*http.Client{admin, plain} {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &Target{Name: name, Config: cfg, admin: admin, plain: plain}, nil
}

// Ask sends a request and reads the whole answer. A failure to get one is an answer too, with Err set.
func (t *Target) Ask(ctx context.Context, r Request) Answer {
	resp, body, err := t.send(ctx, r)
	if resp == nil {
		return Answer{Err: "no answer: " + err.Error()}
	}
	a := newAnswer(resp.StatusCode, resp.Header, body)
	if err != nil {
		a.Err = "the body ends early: " + err.Error()
	}
	return a
}

// send is Ask without decoding. The response, whose body is closed, may come with an error about its body.
func (t *Target) send(ctx context.Context, r Request) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, t.Config.Host+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return nil, nil, fmt.Errorf("make request: %w", err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	client := t.admin
	if r.Anonymous {
		client = t.plain
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("send request: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return resp, body, fmt.Errorf("read answer: %w", err)
	}
	return resp, body, nil
}
