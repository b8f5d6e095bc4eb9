package ratelimit

import "github.com/prometheus/client_golang/prometheus"

// metric is one series that is read from Stats.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(Stats) float64
}

// clientMetrics has no label that a client has a say in.
func clientMetrics() []metric {
	const prefix = "gatehouse_ratelimit_clients_"
	number := func(kind prometheus.ValueType, name, help string, value func(Stats) float64, labels prometheus.Labels) metric {
		return metric{prometheus.NewDesc(prefix+name, help, nil, labels), kind, value}
	}
	gauge := func(name, help string, value func(Stats) int) metric {
		return number(prometheus.GaugeValue, name, help, func(s Stats) float64 { return float64(value(s)) }, nil)
	}
	counter := func(name, help string, value func(Stats) uint64, labels prometheus.Labels) metric {
		return number(prometheus.CounterValue, name, help, func(s Stats) float64 { return float64(value(s)) }, labels)
	}
	const refused, granted = "Requests refused because of their client, by what was used up.", "Requests let through, by whether limits applied to them."
	const held = "Places taken by open long-running requests, one by a watch and ten by a stream, by whether limits apply to them."
	return []metric{
		gauge("accounts", "Clients that have state of their own.", func(s Stats) int { return s.Accounts }),
		gauge("seats", "Seats in use.", func(s Stats) int { return s.Seats }),
		gauge("waiting", "Requests that wait for a seat.", func(s Stats) int { return s.Waiting }),
		gauge("exempt", "Requests being executed that no limit applies to.", func(s Stats) int { return s.Exempt }),
		number(prometheus.GaugeValue, "watches", held, func(s Stats) float64 { return float64(s.Held) }, prometheus.Labels{"exempt": "false"}),
		number(prometheus.GaugeValue, "watches", held, func(s Stats) float64 { return float64(s.HeldExempt) }, prometheus.Labels{"exempt": "true"}),
		counter("refused_total", refused, func(s Stats) uint64 { return s.RefusedRate }, prometheus.Labels{"reason": "rate"}),
		counter("refused_total", refused, func(s Stats) uint64 { return s.RefusedSeats }, prometheus.Labels{"reason": "seats"}),
		counter("refused_total", refused, func(s Stats) uint64 { return s.RefusedHeld }, prometheus.Labels{"reason": "watches"}),
		counter("granted_total", granted, func(s Stats) uint64 { return s.Granted }, prometheus.Labels{"exempt": "false"}),
		counter("granted_total", granted, func(s Stats) uint64 { return s.GrantedExempt }, prometheus.Labels{"exempt": "true"}),
		counter("charged_units_total", "Units charged for large responses.", func(s Stats) uint64 { return s.ChargedUnits }, nil),
		counter("overflow_total", "Requests of clients for which there was no account left.", func(s Stats) uint64 { return s.Overflow }, nil),
	}
}

// Describe implements [prometheus.Collector] with a fixed number of series named gatehouse_ratelimit_clients_*.
func (c *Clients) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		to <- m.desc
	}
}

// Collect implements [prometheus.Collector]. All values are of one moment.
func (c *Clients) Collect(to chan<- prometheus.Metric) {
	s := c.Stats()
	for _, m := range c.metrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
}

// Describe implements [prometheus.Collector] with two series named gatehouse_ratelimit_peers_*.
func (p *Peers) Describe(to chan<- *prometheus.Desc) {
	p.refused.Describe(to)
	p.penalized.Describe(to)
}

// Collect implements [prometheus.Collector].
func (p *Peers) Collect(to chan<- prometheus.Metric) {
	p.refused.Collect(to)
	p.penalized.Collect(to)
}
