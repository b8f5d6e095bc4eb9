package main

import (
	"io"
	"log/slog"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// newLogger logs to w as the options say.
func newLogger(w io.Writer, o *flags.Options) *slog.Logger {
	how := &slog.HandlerOptions{Level: o.LogLevel()}
	if o.LoggingFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, how))
	}
	return slog.New(slog.NewTextHandler(w, how))
}
