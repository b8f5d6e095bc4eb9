package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/authn"
)

// Algorithms are those that a token may be signed with; a configuration by flags may allow fewer.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"}
}

// Options say how tokens are judged. All are required.
type Options struct {
	// Algorithms allowed, of [Algorithms].
	Algorithms []string
	// Disallowed issuers are those of service accounts.
	Disallowed []string
	// Clock is what expiry is judged by.
	Clock func() time.Time
	// Logger is told of issuers that do not answer.
	Logger *slog.Logger
}

// Authenticator judges the tokens of all configured issuers. [Authenticator.Run] reads their keys. It is safe for concurrent use.
type Authenticator struct {
	opts      Options
	anonymous *Anonymous
	current   atomic.Pointer[issuers]
	next      chan *issuers // holds the newest that is not in use yet
}

// issuers are those of one configuration.
type issuers struct {
	byURL map[string]*issuer
}

// New takes the first configuration, which is in use at once: its tokens are refused until the issuers have answered.
func New(c *Config, opts Options) (*Authenticator, error) {
	for _, alg := range opts.Algorithms {
		if !slices.Contains(Algorithms(), alg) {
			return nil, fmt.Errorf("oidc: unsupported signing alg: %q", alg)
		}
	}
	if len(opts.Algorithms) == 0 || opts.Clock == nil || opts.Logger == nil {
		return nil, errors.New("oidc: algorithms, clock or logger are missing")
	}
	a := &Authenticator{opts: opts, anonymous: c.Anonymous, next: make(chan *issuers, 1)}
	set, err := a.make(c)
	if err != nil {
		return nil, err
	}
	a.current.Store(set)
	return a, nil
}

func (a *Authenticator) make(c *Config) (*issuers, error) {
	mappings, errs := c.compile(a.opts.Disallowed)
	if !reflect.DeepEqual(c.Anonymous, a.anonymous) {
		errs = append(errs, field.Forbidden(field.NewPath("anonymous"), "changed from initial configuration file"))
	}
	if err := errs.ToAggregate(); err != nil {
		return nil, fmt.Errorf("invalid authentication configuration: %w", err)
	}
	set := &issuers{byURL: map[string]*issuer{}}
	for n := range c.JWT {
		j := &c.JWT[n]
		set.byURL[j.Issuer.URL] = &issuer{
			config: j, mapping: mappings[n], methods: a.opts.Algorithms, keys: newKeySource(&j.Issuer, a.opts.Clock), clock: a.opts.Clock,
		}
	}
	return set, nil
}

// Replace takes another configuration. An error says what is wrong with it, and the old one stays; otherwise it is in use once all of its
// issuers have answered, which [Authenticator.Run] waits for, or until a newer one comes.
func (a *Authenticator) Replace(c *Config) error {
	set, err := a.make(c)
	if err != nil {
		return err
	}
	for {
		select {
		case a.next <- set:
			return nil
		default:
		}
		select {
		case <-a.next: // It was not even looked at.
		default:
		}
	}
}

// Run reads the keys of the issuers until ctx ends, and puts configurations into use.
func (a *Authenticator) Run(ctx context.Context) error {
	stop := a.start(ctx, a.current.Load())
	defer func() { stop() }()
	var waiting *issuers
	var stopWaiting func()
	defer func() {
		if stopWaiting != nil {
			stopWaiting()
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var look <-chan time.Time
		if waiting != nil {
			look = tick.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case set := <-a.next:
			if stopWaiting != nil {
				stopWaiting()
			}
			waiting, stopWaiting = set, a.start(ctx, set)
		case <-look:
		}
		if waiting != nil && waiting.healthy() == nil {
			a.current.Store(waiting)
			stop()
			stop, waiting, stopWaiting = stopWaiting, nil, nil
			a.opts.Logger.InfoContext(ctx, "a new authentication configuration is in use")
		}
	}
}

// start reads the keys of a set until the function returned is called, which waits for the end.
func (a *Authenticator) start(ctx context.Context, set *issuers) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for _, i := range set.byURL {
		group.Go(func() {
			i.keys.follow(ctx, func(err error) {
				a.opts.Logger.ErrorContext(ctx, "the keys of an issuer of tokens could not be read; it is tried again", "err", err)
			})
		})
	}
	return func() { cancel(); group.Wait() }
}

func (s *issuers) healthy() error {
	var errs []error
	for _, i := range s.byURL {
		errs = append(errs, i.keys.healthy())
	}
	return errors.Join(errs...)
}

// Authenticate implements [authn.Authenticator]. A token that is not a JWT, or not of a configured issuer, gets no opinion.
func (a *Authenticator) Authenticate(ctx context.Context, c authn.Credentials) (*authn.Result, error) {
	if !c.HasBearer || len(c.BearerToken) > authn.MaxTokenBytes {
		return nil, nil
	}
	i := a.current.Load().byURL[unverifiedIssuer(c.BearerToken)]
	if i == nil {
		return nil, nil
	}
	res, err := i.authenticate(ctx, c.BearerToken)
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	return res, nil
}
