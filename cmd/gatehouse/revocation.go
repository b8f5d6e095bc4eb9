package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/gatehouse/gatehouse/authn/revocation"
)

// makeRevocation makes the lists of credentials that are refused.
func (p *parts) makeRevocation(context.Context) error {
	o := p.options
	if o.ClientCRLFile == "" && o.DenyListFile == "" {
		return nil
	}
	lists, err := revocation.Open(revocation.Options{
		CRLFile: o.ClientCRLFile, DenyFile: o.DenyListFile, Authorities: p.clientAuthorities, Clock: time.Now,
	})
	if err != nil {
		return fmt.Errorf("--client-crl-file, --deny-list-file: %w", err)
	}
	p.revocation, p.authn.Revocation = lists, lists
	p.reload = append(p.reload, reloader{o.ClientCRLFile + " " + o.DenyListFile, lists.Reload})
	return nil
}

// clientAuthorities are the certificates of all who may sign client certificates, those of front proxies included.
func (p *parts) clientAuthorities() []*x509.Certificate {
	var all []*x509.Certificate
	for _, a := range p.clientCAs {
		all = append(all, a.Authorities()...)
	}
	if p.proxies != nil {
		all = append(all, p.proxies.authorities.Authorities()...)
	}
	return all
}

const (
	// recheckEvery is how often the credentials of open long-running requests are judged again, for what no file tells: a service
	// account or a pod that was deleted.
	recheckEvery = 3 * time.Second
	// revocationSettles is how long files must be quiet before they are read, so that they are not read half written.
	revocationSettles = 100 * time.Millisecond
	// revocationWaits is how long reading is put off at most: a directory in which something else is written all the time never is quiet.
	revocationWaits = 500 * time.Millisecond
)

// settling puts off the reading of files that are being written. The zero value is one of which nothing has been heard.
type settling struct{ since time.Time }

// putOff notes a change, and reports whether reading may wait until revocationSettles from now.
func (s *settling) putOff(now time.Time) bool {
	if s.since.IsZero() {
		s.since = now
	}
	return now.Sub(s.since) < revocationWaits
}

// read notes that the files are read.
func (s *settling) read() { s.since = time.Time{} }

// watchCredentials reads the lists of what is revoked as soon as they change, and ends open requests of credentials that are not good
// any more.
func (p *parts) watchCredentials(ctx context.Context) error {
	events, failures, stop, err := p.watchRevocationFiles()
	if err != nil {
		return err
	}
	defer stop()
	quiet, settling := time.NewTimer(revocationSettles), settling{}
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-events:
			if settling.putOff(time.Now()) {
				quiet.Reset(revocationSettles)
			}
		case err := <-failures:
			p.logger.Warn("the files of revoked credentials could not be watched; they are read every 10 s", "err", err)
			quiet.Reset(revocationSettles)
		case <-quiet.C:
			settling.read()
			p.readRevocation()
			p.server.Recheck(ctx)
		case <-tick.C:
			p.server.Recheck(ctx)
		}
	}
}

// watchRevocationFiles watches the directories that the files are in: a file that is replaced by renaming is another one afterwards.
func (p *parts) watchRevocationFiles() (<-chan fsnotify.Event, <-chan error, func(), error) {
	if p.revocation == nil {
		return nil, nil, func() {}, nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("watch the files of revoked credentials: %w", err)
	}
	for _, file := range []string{p.options.ClientCRLFile, p.options.DenyListFile} {
		if file == "" {
			continue
		}
		if err := w.Add(filepath.Dir(file)); err != nil {
			_ = w.Close() // nothing was written; there is nothing to lose
			return nil, nil, nil, fmt.Errorf("watch %s: %w", filepath.Dir(file), err)
		}
	}
	return w.Events, w.Errors, func() { _ = w.Close() }, nil
}

func (p *parts) readRevocation() {
	if p.revocation == nil {
		return
	}
	switch changed, err := p.revocation.Reload(); {
	case err != nil:
		p.logger.Error("revoked credentials could not be read again; what was known before stays revoked", "err", err)
	case changed:
		p.logger.Info("revoked credentials have changed and were read again")
	}
}
