package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// This file is how a request ends: with the answer of a stage that refused, and in the record and the metrics.

// refuse answers with the error. Its cause stays in the log.
func (x *exchange) refuse(err error) {
	e := toError(err)
	log := x.s.cfg.Logger.With("auditID", x.auditID, "verb", x.info.Verb, "path", x.info.Path)
	switch cause := e.Unwrap(); {
	case cause == nil:
	case errors.Is(cause, context.Canceled) && errors.Is(x.r.Context().Err(), context.Canceled):
		// Nobody waits for the answer, and nothing is wrong with the server.
		log.Info("the request was canceled by its client", "error", cause)
	case e.Code() >= http.StatusInternalServerError:
		log.Error("request failed", "error", cause)
	case e.Code() == http.StatusUnauthorized: // Anybody can cause these; why is for whoever looks for it.
		log.Debug("credential refused", "peer", x.peer, "error", cause)
	}
	x.reply(e)
}

// reply sends the error. Over HTTP/1 net/http would read what is left of the request's body to use the connection again;
// for a request that was refused that is not worth waiting for, so the connection ends with the answer.
func (x *exchange) reply(e *api.Error) {
	if x.r.ProtoMajor != 2 && x.r.ContentLength != 0 && (x.body == nil || !x.body.ended) {
		x.w.Header().Set("Connection", "close")
		// net/http still looks for the end of the body for a moment, so that the client sees the answer before the reset.
		if err := http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(timeToRefuse)); supported(err) != nil {
			x.s.cfg.Logger.Debug("a refused body could not be bounded", "auditID", x.auditID, "error", err)
		}
	}
	writeError(x.w, x.r, e)
}

// finish ends what the stages began: the seat, the audit record, the count.
func (x *exchange) finish(err error) {
	x.seat.Release()
	x.release()
	if x.longRunning && errors.Is(context.Cause(x.r.Context()), authn.ErrRevoked) {
		x.record.Annotate(annotationRevoked, "true")
	}
	code := x.w.code
	if code == 0 {
		code = http.StatusOK
	}
	switch {
	case errors.Is(err, errPanic):
		x.record.Close()
	case err != nil:
		status := toError(err).Status
		x.record.Finish(code, &status)
	default:
		x.record.Finish(code, nil)
	}
	x.s.metrics.observe(x.info, outcome{
		code: code, size: x.w.size, took: time.Since(x.received), longRunning: x.longRunning,
		dryRun: !x.info.IsReadOnly() && queryValue(x.r, "dryRun") != "",
		apply:  x.info.Verb == "patch" && strings.HasPrefix(x.r.Header.Get("Content-Type"), "application/apply-patch+"),
	})
}
