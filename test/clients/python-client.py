# A node in Python: each line it reads is a message it sends; what happens is printed as one JSON object a line.
import asyncio
import json
import sys

import websockets


def show(**what):
    print(json.dumps(what), flush=True)


async def main(url):
    async with websockets.connect(url) as socket:
        show(connected=True)
        asyncio.create_task(send_lines(socket))
        try:
            while True:
                show(message=await socket.recv())
        except websockets.ConnectionClosed:
            show(code=socket.close_code, reason=socket.close_reason)


async def send_lines(socket):
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await socket.send(line.decode().rstrip("\n"))


asyncio.run(main(sys.argv[1]))
