module ivr

go 1.18
