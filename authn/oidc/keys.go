package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"
)

const (
	// refreshEvery is how often keys are read again, retryEvery how often if that failed.
	refreshEvery = 10 * time.Minute
	retryEvery   = 10 * time.Second
	// refreshAtMost is how often a token with an unknown key may have them read: whoever makes such tokens up must not make
	// us ask the issuer more often than that.
	refreshAtMost = time.Minute
	// keysGoodFor is how long keys are used while the issuer does not answer.
	keysGoodFor = 24 * time.Hour

	fetchTimeout     = 30 * time.Second
	maxDocumentBytes = 1 << 20
	maxKeys          = 64
	minRSABits       = 2048
	maxRSABits       = 8192
)

// keySource holds the keys of one issuer.
type keySource struct {
	issuer    *Issuer
	client    *http.Client
	clock     func() time.Time
	refreshes singleflight.Group

	mu      sync.Mutex      // guards what follows
	life    context.Context //nolint:containedctx // That of follow: reading the keys goes on when the request that wants them ends.
	keys    []jose.JSONWebKey
	fetched time.Time // when keys were read; zero: never
	tried   time.Time // when they were asked for, well or not
	err     error     // why they could not be read the last time
}

var errNotInitialized = errors.New("authenticator not initialized")

func newKeySource(i *Issuer, clock func() time.Time) *keySource {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if i.CertificateAuthority != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(i.CertificateAuthority)) // Validate has seen that there are some
	}
	return &keySource{issuer: i, clock: clock, err: errNotInitialized, client: &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the issuer redirects, which is not followed")
		},
	}}
}

// healthy returns why there are no keys yet.
func (k *keySource) healthy() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetched.IsZero() {
		return fmt.Errorf("issuer %s: %w", k.issuer.URL, k.err)
	}
	return nil
}

// usable returns the keys, unless they are too old.
func (k *keySource) usable() ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.fetched.IsZero():
		return nil, k.err
	case k.clock().Sub(k.fetched) > keysGoodFor:
		return nil, fmt.Errorf("the keys are out of date: %w", k.err)
	}
	return k.keys, nil
}

// follow reads the keys until ctx ends.
func (k *keySource) follow(ctx context.Context, report func(error)) {
	defer k.client.CloseIdleConnections()
	k.mu.Lock()
	k.life = ctx
	k.mu.Unlock()
	for {
		pause := refreshEvery
		if err := k.refresh(ctx); err != nil {
			pause = retryEvery
			if ctx.Err() == nil {
				report(fmt.Errorf("issuer %s: %w", k.issuer.URL, err))
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// refreshForToken reads the keys because a token names one that is not known, if they were not asked for lately.
func (k *keySource) refreshForToken(ctx context.Context) bool {
	k.mu.Lock()
	early := k.life == nil || k.clock().Sub(k.tried) < refreshAtMost
	k.mu.Unlock()
	return !early && k.refresh(ctx) == nil
}

// refresh reads the keys. Of those who ask at the same time one does it; it goes on when that one leaves, as long as keys are
// followed.
func (k *keySource) refresh(ctx context.Context) error {
	done := k.refreshes.DoChan("", func() (any, error) {
		k.mu.Lock()
		k.tried = k.clock()
		ctx, cancel := context.WithTimeout(k.life, 2*fetchTimeout)
		k.mu.Unlock()
		defer cancel()
		keys, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.err = err; err == nil {
			k.keys, k.fetched = keys, k.clock()
		}
		return nil, err
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keySource) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	at := k.issuer.DiscoveryURL
	if at == "" {
		at = strings.TrimSuffix(k.issuer.URL, "/") + "/.well-known/openid-configuration"
	}
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := k.get(ctx, at, &discovery); err != nil {
		return nil, fmt.Errorf("discovery document: %w", err)
	}
	if discovery.Issuer != k.issuer.URL {
		return nil, fmt.Errorf("discovery document: it is of issuer %.128q", discovery.Issuer)
	}
	if u, err := url.Parse(discovery.JWKSURI); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("discovery document: jwks_uri is no https URL")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, discovery.JWKSURI, &set); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return usableKeys(set.Keys)
}

// usableKeys leaves out keys that no token can be verified with, such as those for encryption.
func usableKeys(raw []json.RawMessage) ([]jose.JSONWebKey, error) {
	if len(raw) > maxKeys {
		return nil, fmt.Errorf("keys: there are %d, the limit is %d", len(raw), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, data := range raw {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(data) != nil || !key.Valid() || !key.IsPublic() || (key.Use != "" && key.Use != "sig") {
			continue
		}
		switch public := key.Key.(type) {
		case *rsa.PublicKey:
			if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
				continue
			}
		case *ecdsa.PublicKey:
		default:
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("keys: there is none that could verify a token")
	}
	return keys, nil
}

func (k *keySource) get(ctx context.Context, at string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatehouse")
	resp, err := k.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocumentBytes+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %d", at, resp.StatusCode)
	case err != nil:
		return fmt.Errorf("read %s: %w", at, err)
	case len(data) > maxDocumentBytes:
		return fmt.Errorf("%s is larger than %d bytes", at, maxDocumentBytes)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s is not the JSON that was expected", at)
	}
	return nil
}

// fits reports whether the key may have signed a token with that header.
func fits(key *jose.JSONWebKey, h *header) bool {
	if (h.KeyID != "" && key.KeyID != h.KeyID) || (key.Algorithm != "" && key.Algorithm != h.Algorithm) {
		return false
	}
	switch method := jwt.GetSigningMethod(h.Algorithm).(type) {
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		_, ok := key.Key.(*rsa.PublicKey)
		return ok
	case *jwt.SigningMethodECDSA:
		public, ok := key.Key.(*ecdsa.PublicKey)
		return ok && public.Curve.Params().BitSize == method.CurveBits
	}
	return false
}
