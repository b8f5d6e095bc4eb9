package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Bounds of a [Pool].
const (
	// MaxClients is how many endpoints a pool keeps connections for; those of the one that was not used for longest are closed.
	MaxClients = 200
	// MaxIdle is how many connections of one endpoint are kept while they are not in use.
	MaxIdle = 8
)

// Endpoint is a webhook as an object in the API describes it. It is shown no credential.
type Endpoint struct {
	// URL is where to post to: https, and as it stands.
	URL string
	// CABundle verifies the endpoint; where it is empty the authorities of the system do.
	CABundle []byte
	// Dial connects to where the host of the URL is found otherwise than by its name; nil connects to the host.
	Dial func(ctx context.Context) (net.Conn, error)
}

// Answer is what an endpoint sent.
type Answer struct {
	Code int
	// ContentType is the header of that name.
	ContentType string
	Body        []byte // at most MaxAnswerBytes
}

// Text is the body of an answer that is text, else that there is none.
func (a *Answer) Text() string {
	if a.ContentType != "" {
		if media, _, err := mime.ParseMediaType(a.ContentType); err != nil || !strings.HasPrefix(media, "text/") {
			return "unknown"
		}
	}
	return strings.TrimSpace(string(a.Body[:min(len(a.Body), 2048)]))
}

// Pool posts to many endpoints, each verified by its own authority. It is safe for concurrent use.
type Pool struct {
	mu      sync.Mutex // guards clients, used and clock
	clients map[string]*pooled
	clock   uint64
}

type pooled struct {
	http *http.Client
	used uint64
}

// NewPool returns a pool without connections.
func NewPool() *Pool { return &Pool{clients: map[string]*pooled{}} }

// Close closes connections that are not in use.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, c := range p.clients {
		c.http.CloseIdleConnections()
		delete(p.clients, key)
	}
	return nil
}

// Post sends a body of JSON, once. The context bounds all of it; query goes into the URL. An error says why there is no answer, in the words
// of package net/http.
func (p *Pool) Post(ctx context.Context, e Endpoint, query string, body []byte) (*Answer, error) {
	client, err := p.client(e)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.URL.Scheme != "https" || r.URL.Host == "" {
		return nil, errors.New("the webhook has no https URL")
	}
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, */*")
	r.Header.Set("User-Agent", "gatehouse-admission")
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unexpected error when reading response body. Please retry. Original error: %w", err)
	case len(data) > MaxAnswerBytes:
		return nil, fmt.Errorf("the answer is larger than %d bytes", MaxAnswerBytes)
	}
	return &Answer{Code: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Body: data}, nil
}

// client returns that of an endpoint. Endpoints share connections only if they are verified by the same authorities.
func (p *Pool) client(e Endpoint) (*http.Client, error) {
	key := fmt.Sprintf("%t\n%s\n%s", e.Dial != nil, e.URL, e.CABundle)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	if c := p.clients[key]; c != nil {
		c.used = p.clock
		return c.http, nil
	}
	transport, err := transportTo(e)
	if err != nil {
		return nil, err
	}
	if len(p.clients) >= MaxClients {
		p.evict()
	}
	c := &pooled{used: p.clock, http: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	p.clients[key] = c
	return c.http, nil
}

func (p *Pool) evict() {
	var oldest string
	for key, c := range p.clients {
		if oldest == "" || c.used < p.clients[oldest].used {
			oldest = key
		}
	}
	p.clients[oldest].http.CloseIdleConnections()
	delete(p.clients, oldest)
}

func transportTo(e Endpoint) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(e.CABundle) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(e.CABundle) {
			return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
		}
	}
	dial := (&net.Dialer{Timeout: Timeout}).DialContext
	if e.Dial != nil {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx) }
	}
	return &http.Transport{
		TLSClientConfig: config, DialContext: dial, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		MaxConnsPerHost: MaxConcurrent, MaxIdleConnsPerHost: MaxIdle, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}, nil
}
