package main

import (
	"log/slog"
	"net"

	"github.com/gatehouse/gatehouse/internal/datadir"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
)

// wiring is what wire makes a service of.
type wiring struct {
	options *flags.Options
	logger  *slog.Logger
	// flags are the effective options as text, by flag.
	flags map[string]string
	// dir is locked for this process; nil if options.DataDir is empty.
	dir *datadir.Dir
	// material is the key material in dir; nil without dir.
	material *pki.Material
	// servingCert and servingKey are the files to serve with.
	servingCert, servingKey string
	// listener listens. The service closes it.
	listener net.Listener
	// url is how a client on this machine reaches the listener.
	url string
}

// notes are warnings about the key material.
func (w *wiring) notes() []string {
	if w.material == nil || w.servingCert == w.material.ServingCert {
		return nil
	}
	return []string{"admin.kubeconfig trusts the authority in the data directory: if it has not signed " + w.servingCert +
		", kubectl needs --certificate-authority"}
}
